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


def positive_quaternion(quaternion: np.ndarray) -> np.ndarray:
    """The one of q and -q (the same rotation) whose first component is not negative."""
    return -quaternion if quaternion[0] < 0 else quaternion


class Sensors:
    """Measures a frame: a dict of float64 arrays by the names of `observations`."""

    def __init__(self, model: mujoco.MjModel, scene: scene_lib.Scene) -> None:
        self._model = model
        self._scene = scene
        self._fts = "robot0/robotiq_fts300/ft_sensor"
        self._force = self._sensor(f"{self._fts}_force")
        self._torque = self._sensor(f"{self._fts}_torque")
        torques = [self._sensor(f"robot0/j{i}_torque") for i in range(7)]
        # A joint turns about its site's z: the third of each sensor's three numbers.
        self._joint_torque = np.array([s.stop - 1 for s in torques])
        self._finger = int(model.jnt_qposadr[scene.finger_joint])
        self._finger_range = model.jnt_range[scene.finger_joint].copy()
        self._quaternion = np.zeros(4)
        self._velocity = np.zeros(6)
        self._is_pad = np.zeros(model.ngeom, bool)
        self._is_pad[scene.pad_geoms] = True
        self._previous_finger = 0.0

    def _sensor(self, name: str) -> slice:
        sensor = self._model.sensor(name)
        start = int(sensor.adr[0])
        return slice(start, start + int(sensor.dim[0]))

    def reset(self, data: mujoco.MjData) -> None:
        """Begins an episode with fingers at rest."""
        self.note_finger(data)

    def note_finger(self, data: mujoco.MjData) -> None:
        """Marks the time that the fingers' velocity is the difference to."""
        self._previous_finger = self._finger_tics(data)

    def _finger_tics(self, data: mujoco.MjData) -> float:
        low, high = self._finger_range
        share = (data.qpos[self._finger] - low) / (high - low)
        return float(np.round(np.clip(share * FULL_TICS, 0.0, FULL_TICS)))

    def _site_pose(self, data: mujoco.MjData, site: int) -> np.ndarray:
        mujoco.mju_mat2Quat(self._quaternion, data.site_xmat[site])
        pose = np.empty(7)
        pose[:3] = data.site_xpos[site]
        pose[3:] = positive_quaternion(self._quaternion)
        return pose

    def grasp_flag(self, data: mujoco.MjData) -> int:
        """The hand's object detection: both fingertips touch something else.

        Returns:
          1 for no grasp, 2 while the fingers are told to close, 3 while to open.
        """
        command = data.ctrl[self._scene.finger_ctrl]
        if data.ncon == 0 or abs(command) < _GRASP_MIN_COMMAND:
            return NO_GRASP
        contact = data.contact
        pairs = contact.geom[contact.dist <= _CONTACT_DISTANCE]
        pad = self._is_pad[pairs]
        touching = pairs[pad & ~pad[:, ::-1]]
        if not all((touching == geom).any() for geom in self._scene.pad_geoms):
            return NO_GRASP
        return INWARD_GRASP if command > 0 else OUTWARD_GRASP

    def measure(self, data: mujoco.MjData) -> dict[str, np.ndarray]:
        """Reads a frame."""
        scene = self._scene
        mujoco.mj_objectVelocity(
            self._model,
            data,
            mujoco.mjtObj.mjOBJ_SITE,
            scene.wrist_site,
            self._velocity,
            0,
        )
        finger = self._finger_tics(data)
        pinch = self._site_pose(data, scene.pinch_site)
        frame = {
            "sawyer/joints/angle": data.qpos[scene.arm_qpos],
            "sawyer/joints/velocity": data.qvel[scene.arm_dof],
            "sawyer/joints/torque": data.sensordata[self._joint_torque],
            "sawyer/pinch/pose": pinch,
            "sawyer/tcp/pose": self._site_pose(data, scene.wrist_site),
            "sawyer/tcp/velocity": np.roll(self._velocity, 3),
            "wrist/angle": data.qpos[6],
            "wrist/velocity": data.qvel[6],
            "wrist/force": data.sensordata[self._force],
            "wrist/torque": data.sensordata[self._torque],
            "gripper/joints/angle": finger,
            "gripper/joints/velocity": finger - self._previous_finger,
            "gripper/grasp": self.grasp_flag(data),
        }
        for color, address in zip(observations.COLORS, scene.object_qpos, strict=True):
            pose = data.qpos[address : address + 7].copy()
            pose[3:] = positive_quaternion(pose[3:])
            frame[f"rgb30_{color}/abs_pose"] = pose
            frame[f"rgb30_{color}/to_pinch"] = pose - pinch
        return frame
