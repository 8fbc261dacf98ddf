"""Sensors, which read one frame of observations from the simulation."""

from __future__ import annotations

import numba
import numpy as np

from environments import observations
from environments import scene as scene_lib
from environments.rendering import mujoco

NO_GRASP, INWARD_GRASP, OUTWARD_GRASP = 1, 2, 3
FULL_TICS = 255.0
_GRASP_MIN_COMMAND = 2.0  # tics/s
_CONTACT_DISTANCE = 1e-8  # m
# The reference means to take the fingers' velocity over a control step, but counts the
# step in physics steps of another length; its agents learned with the result.
FINGER_VELOCITY_INTERVAL = 0.0125  # s


@numba.njit(cache=True)
def _write_frame(
    frame: np.ndarray,
    poses: np.ndarray,
    differences: np.ndarray,
    velocity: np.ndarray,
    copies: tuple[np.ndarray, ...],
    qpos: np.ndarray,
    qvel: np.ndarray,
    sensors: np.ndarray,
    positions: np.ndarray,
    quaternions: np.ndarray,
    sites: np.ndarray,
    offsets: np.ndarray,
    body_velocity: np.ndarray,
    centre: np.ndarray,
) -> None:
    """Writes the poses and all numbers of a frame that MuJoCo holds.

    Args:
      frame, poses, differences: frame, and views of its poses and differences.
      velocity: [6], view of the TCP's velocity in the frame, linear and angular.
      copies: [2, n] each, indices in the frame, and in qpos, qvel or sensors.
      positions: [nsite, 3], of the sites. quaternions: [nbody, 4], of the bodies.
      sites: [2, 2], site and body of the pinch and the TCP.
      offsets: [2, 4], quaternions of the sites in their bodies.
      body_velocity: [6], of the TCP's body, angular and linear, at `centre` [3].
    """
    for index, source in enumerate((qpos, qvel, sensors)):
        to, where = copies[index]
        for i in range(len(to)):
            frame[to[i]] = source[where[i]]
    for i in range(2):
        site, body = sites[i]
        poses[i, :3] = positions[site]
        w, x, y, z = quaternions[body]
        a, b, c, d = offsets[i]
        poses[i, 3] = w * a - x * b - y * c - z * d
        poses[i, 4] = w * b + x * a + y * d - z * c
        poses[i, 5] = w * c - x * d + y * a + z * b
        poses[i, 6] = w * d + x * c - y * b + z * a
    canonical(poses, differences)
    arm = poses[1, :3] - centre
    turn = body_velocity[:3]
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        velocity[i] = body_velocity[3 + i] + turn[j] * arm[k] - turn[k] * arm[j]
        velocity[3 + i] = turn[i]


@numba.njit(cache=True)
def _both_touch(
    pairs: np.ndarray, distances: np.ndarray, left: int, right: int
) -> bool:
    """Returns whether each of two geoms is in contact with a third geom."""
    left_touches = right_touches = False
    for i in range(len(distances)):
        if distances[i] > _CONTACT_DISTANCE:
            continue
        a, b = pairs[i]
        left_in, right_in = a == left or b == left, a == right or b == right
        if left_in and not right_in:
            left_touches = True
        if right_in and not left_in:
            right_touches = True
    return left_touches and right_touches


@numba.njit(cache=True)
def canonical(poses: np.ndarray, differences: np.ndarray) -> None:
    """Makes poses [5, 7] unique, and updates the objects' differences [3, 7].

    Of q and -q, which are the same rotation, it keeps the one whose first number is not
    negative.
    """
    for i in range(poses.shape[0]):
        if poses[i, 3] < 0:
            for j in range(3, 7):
                poses[i, j] = -poses[i, j]
    for i in range(differences.shape[0]):
        for j in range(7):
            differences[i, j] = poses[2 + i, j] - poses[0, j]


class Sensors:
    """Sensors that measure a frame, the flat vector of `observations.LAYOUT`."""

    def __init__(
        self, model: mujoco.MjModel, data: mujoco.MjData, scene: scene_lib.Scene
    ) -> None:
        """Takes the simulation to measure."""
        self._model, self._data = model, data
        finger = int(model.jnt_qposadr[scene.finger_joint])
        # Views of MuJoCo's arrays, whose memory stays where it is.
        self._finger = data.qpos[finger : finger + 1]
        self._finger_ctrl = data.ctrl[scene.finger_ctrl : scene.finger_ctrl + 1]
        self._finger_range = model.jnt_range[scene.finger_joint].tolist()
        self._pads = scene.pad_geoms.tolist()
        self._previous_finger = 0.0

        frame = self._frame = np.zeros(observations.FRAME_SIZE)
        at = observations.LAYOUT
        arm = np.arange(scene_lib.NUM_ARM_JOINTS)
        # Joint torques: a joint turns about its site's z, the last of a site's three
        # numbers.
        fts = "robot0/robotiq_fts300/ft_sensor"
        torques = np.array([self._sensor(f"robot0/j{i}_torque").stop - 1 for i in arm])
        objects = zip(
            (at[f"rgb30_{color}/abs_pose"] for color in observations.COLORS),
            scene.object_qpos[:, None] + np.arange(7),
            strict=True,
        )
        copies = (
            _copies(
                (at["sawyer/joints/angle"], arm),
                (at["wrist/angle"], arm[-1:]),
                *objects,
            ),
            _copies(
                (at["sawyer/joints/velocity"], arm), (at["wrist/velocity"], arm[-1:])
            ),
            _copies(
                (at["sawyer/joints/torque"], torques),
                (at["wrist/force"], np.r_[self._sensor(f"{fts}_force")]),
                (at["wrist/torque"], np.r_[self._sensor(f"{fts}_torque")]),
            ),
        )
        sites = np.array([scene.pinch_site, scene.wrist_site])
        wrist_body = int(model.site_bodyid[scene.wrist_site])
        self._inputs = (
            frame,
            observations.poses(frame),
            observations.to_pinch(frame),
            frame[at["sawyer/tcp/velocity"]],
            copies,
            data.qpos,
            data.qvel,
            data.sensordata,
            data.site_xpos,
            data.xquat,
            np.stack([sites, model.site_bodyid[sites]], axis=1),
            model.site_quat[sites],
            data.cvel[wrist_body],
            data.subtree_com[model.body_rootid[wrist_body]],
        )
        self._finger_at = at["gripper/joints/angle"].start
        self._finger_velocity_at = at["gripper/joints/velocity"].start
        self._grasp_at = at["gripper/grasp"].start
        self._sent = frame[at[observations.PREVIOUS_ACTION]]

    def _sensor(self, name: str) -> slice:
        sensor = self._model.sensor(name)
        start = int(sensor.adr[0])
        return slice(start, start + int(sensor.dim[0]))

    def note_finger(self) -> None:
        """Stores the finger's position, from which the velocity is computed."""
        self._previous_finger = self._finger_tics()

    def _finger_tics(self) -> float:
        low, high = self._finger_range
        share = (float(self._finger[0]) - low) / (high - low)
        return float(round(min(max(share, 0.0), 1.0) * FULL_TICS))

    def grasp_flag(self) -> int:
        """Detects a grasp: both fingertips touch something else.

        Returns:
          1 for no grasp, 2 while the fingers are told to close, 3 while to open.
        """
        command = float(self._finger_ctrl[0])
        contact = self._data.contact
        if abs(command) < _GRASP_MIN_COMMAND or not _both_touch(
            contact.geom, contact.dist, *self._pads
        ):
            return NO_GRASP
        return INWARD_GRASP if command > 0 else OUTWARD_GRASP

    def measure(self, sent: np.ndarray) -> np.ndarray:
        """Reads a frame; positions, velocities and sensors must be up to date.

        Args:
          sent: [8], commands of the actuators in the control step.

        Returns:
          Frame [observations.FRAME_SIZE]; the next call writes into the same array.
        """
        frame = self._frame
        _write_frame(*self._inputs)
        finger = self._finger_tics()
        frame[self._finger_at] = finger
        frame[self._finger_velocity_at] = finger - self._previous_finger
        frame[self._grasp_at] = self.grasp_flag()
        self._sent[:] = sent
        return frame


def _copies(*parts: tuple[slice, np.ndarray]) -> np.ndarray:
    """Returns indices [2, n] of several copies: in the frame, and in the source."""
    to = np.concatenate([np.r_[place] for place, _ in parts])
    return np.stack([to, np.concatenate([source for _, source in parts])])
