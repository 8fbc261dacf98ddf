"""Reads one frame of observations from the simulation (no stacking, no noise here)."""

from __future__ import annotations

import numpy as np

from environments import observations
from environments import scene as scene_lib
from environments.rendering import mujoco

NO_GRASP, INWARD_GRASP, OUTWARD_GRASP = 1, 2, 3
FULL_TICS = 255.0
_GRASP_MIN_COMMAND = 2.0  # tics/s
_CONTACT_DISTANCE = 1e-8  # m
# The reference means to take the fingers' velocity over a control step, but counts it
# in physics steps of another length; its agents learned with what comes of it.
FINGER_VELOCITY_INTERVAL = 0.0125  # s


class Sensors:
    """Measures a frame: the flat vector that `observations.LAYOUT` lays out."""

    def __init__(self, model: mujoco.MjModel, scene: scene_lib.Scene) -> None:
        self._model = model
        self._scene = scene
        self._finger = int(model.jnt_qposadr[scene.finger_joint])
        self._finger_range = model.jnt_range[scene.finger_joint].tolist()
        self._is_pad = np.zeros(model.ngeom, bool)
        self._is_pad[scene.pad_geoms] = True
        self._velocity = np.zeros(6)
        self._previous_finger = 0.0
        self._frame = np.zeros(observations.FRAME_SIZE)

        at = observations.LAYOUT
        arm = np.arange(scene_lib.NUM_ARM_JOINTS)
        poses = [f"rgb30_{color}/abs_pose" for color in observations.COLORS]
        # Joint torques: a joint turns about its site's z, the last of three numbers.
        fts = "robot0/robotiq_fts300/ft_sensor"
        torques = [self._sensor(f"robot0/j{i}_torque").stop - 1 for i in arm]
        # Where in a frame what goes of qpos, of qvel, of the sensors.
        self._from_qpos = self._copies(
            (at["sawyer/joints/angle"], arm),
            (at["wrist/angle"], arm[-1:]),
            *zip(
                (at[name] for name in poses),
                scene.object_qpos[:, None] + np.arange(7),
                strict=True,
            ),
        )
        self._from_qvel = self._copies(
            (at["sawyer/joints/velocity"], arm), (at["wrist/velocity"], arm[-1:])
        )
        self._from_sensors = self._copies(
            (at["sawyer/joints/torque"], torques),
            (at["wrist/force"], np.r_[self._sensor(f"{fts}_force")]),
            (at["wrist/torque"], np.r_[self._sensor(f"{fts}_torque")]),
        )
        # Views into the frame.
        self._sites = [
            (self._frame[at[name]][:3], self._frame[at[name]][3:], site)
            for name, site in (
                ("sawyer/pinch/pose", scene.pinch_site),
                ("sawyer/tcp/pose", scene.wrist_site),
            )
        ]
        self._pinch = self._frame[at["sawyer/pinch/pose"]]
        self._objects = [self._frame[at[name]] for name in poses]
        self._to_pinch = [
            self._frame[at[f"rgb30_{color}/to_pinch"]] for color in observations.COLORS
        ]
        self._quaternions = [q for _, q, _ in self._sites]
        self._quaternions += [pose[3:] for pose in self._objects]

    @staticmethod
    def _copies(*parts: tuple[slice, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Index arrays (in the frame, in the source) of several copies at once."""
        to = np.concatenate([np.r_[place] for place, _ in parts])
        return to, np.concatenate([np.asarray(source) for _, source in parts])

    def _sensor(self, name: str) -> slice:
        sensor = self._model.sensor(name)
        start = int(sensor.adr[0])
        return slice(start, start + int(sensor.dim[0]))

    def note_finger(self, data: mujoco.MjData) -> None:
        """Marks the time that the fingers' velocity is the difference to."""
        self._previous_finger = self._finger_tics(data)

    def _finger_tics(self, data: mujoco.MjData) -> float:
        low, high = self._finger_range
        share = (float(data.qpos[self._finger]) - low) / (high - low)
        return float(round(min(max(share, 0.0), 1.0) * FULL_TICS))

    def grasp_flag(self, data: mujoco.MjData) -> int:
        """The hand's object detection: both fingertips touch something else.

        Returns:
          1 for no grasp, 2 while the fingers are told to close, 3 while to open.
        """
        command = data.ctrl[self._scene.finger_ctrl]
        if data.ncon == 0 or abs(command) < _GRASP_MIN_COMMAND:
            return NO_GRASP
        contact = data.contact
        pairs = contact.geom
        pad = self._is_pad[pairs]
        touching = pairs[
            pad & ~pad[:, ::-1] & (contact.dist <= _CONTACT_DISTANCE)[:, None]
        ]
        if len(touching) < 2 or touching.min() == touching.max():
            return NO_GRASP
        return INWARD_GRASP if command > 0 else OUTWARD_GRASP

    def measure(self, data: mujoco.MjData, sent: np.ndarray) -> np.ndarray:
        """Reads a frame.

        Args:
          data: with positions, velocities and sensors up to date.
          sent: the commands of the actuators in the control step, [8].

        Returns:
          [observations.FRAME_SIZE]; the next call writes into the same array.
        """
        frame, at = self._frame, observations.LAYOUT
        for (to, source), values in (
            (self._from_qpos, data.qpos),
            (self._from_qvel, data.qvel),
            (self._from_sensors, data.sensordata),
        ):
            frame[to] = values[source]
        for position, quaternion, site in self._sites:
            position[:] = data.site_xpos[site]
            mujoco.mju_mat2Quat(quaternion, data.site_xmat[site])
        # Of q and -q, the same rotation, the one that begins with no negative number.
        for quaternion in self._quaternions:
            if quaternion[0] < 0:
                np.negative(quaternion, out=quaternion)
        for pose, difference in zip(self._objects, self._to_pinch, strict=True):
            np.subtract(pose, self._pinch, out=difference)
        mujoco.mj_objectVelocity(
            self._model,
            data,
            mujoco.mjtObj.mjOBJ_SITE,
            self._scene.wrist_site,
            self._velocity,
            0,
        )
        place = at["sawyer/tcp/velocity"].start
        frame[place : place + 3] = self._velocity[3:]
        frame[place + 3 : place + 6] = self._velocity[:3]
        finger = self._finger_tics(data)
        frame[at["gripper/joints/angle"]] = finger
        frame[at["gripper/joints/velocity"]] = finger - self._previous_finger
        frame[at["gripper/grasp"]] = self.grasp_flag(data)
        frame[at[observations.PREVIOUS_ACTION]] = sent
        return frame
