"""Gaussian noise on observations, drawn for each control step.

The noise is white: readings are independent, and a stacked frame keeps its reading.
Fingers (whole tics), the grasp flag and the previous action stay exact: they are a
counter, a switch and our own command. Rewards and success never see noise.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numba
import numpy as np

from environments import observations, sensors

# The wrist's angle and velocity are the last joint's.
_WRIST, _LAST_JOINT = np.array(
    [
        (
            observations.LAYOUT[f"wrist/{what}"].start,
            observations.LAYOUT[f"sawyer/joints/{what}"].stop - 1,
        )
        for what in ("angle", "velocity")
    ]
).T
# Matrix of multiplication by a quaternion from the left, per component of it.
_PRODUCT = np.array(
    [
        np.eye(4),
        [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]],
        [[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0]],
        [[0, 0, 0, -1], [0, 0, -1, 0], [0, 1, 0, 0], [1, 0, 0, 0]],
    ]
)


def deviation(value: float, description: str) -> float:
    """Makes a field of `ObservationNoise`; `description` names unit and quantity."""
    return dataclasses.field(default=value, metadata={"description": description})


@dataclasses.dataclass(frozen=True)
class ObservationNoise:
    """Standard deviations of the noise, in physical units; 0 switches one off.

    The paper gives none. The defaults are our choice, of the order of the errors of a
    Sawyer and of a fiducial or multi-camera tracker.
    """

    joint_angle: float = deviation(0.001, "rad, arm joints; the wrist's is the last")
    joint_velocity: float = deviation(0.005, "rad/s, arm joints, wrist likewise")
    joint_torque: float = deviation(0.1, "N m, arm joints")
    tool_position: float = deviation(0.0005, "m, pinch and TCP apart")
    tool_orientation: float = deviation(0.002, "rad about each axis, both apart")
    tool_velocity: float = deviation(0.002, "m/s")
    tool_angular_velocity: float = deviation(0.005, "rad/s")
    wrist_force: float = deviation(0.2, "N")
    wrist_torque: float = deviation(0.01, "N m")
    object_position: float = deviation(0.002, "m, each object")
    object_orientation: float = deviation(0.02, "rad about each axis, each object")

    def __post_init__(self) -> None:
        """Raises ValueError for a negative or infinite deviation."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"noise {field.name} is {value}; valid: from 0")

    def scaled(self, strength: float) -> ObservationNoise:
        """Returns all deviations times `strength`."""
        values = dataclasses.asdict(self)
        return ObservationNoise(**{k: v * strength for k, v in values.items()})

    @property
    def is_off(self) -> bool:
        """Whether every deviation is 0."""
        return not any(dataclasses.astuple(self))

    @functools.cached_property
    def _deviations(self) -> np.ndarray:
        """Deviations of a frame's numbers, [FRAME_SIZE], 0 for orientations."""
        at = observations.LAYOUT
        deviations = np.zeros(observations.FRAME_SIZE)
        deviations[at["sawyer/joints/angle"]] = self.joint_angle
        deviations[at["sawyer/joints/velocity"]] = self.joint_velocity
        deviations[at["sawyer/joints/torque"]] = self.joint_torque
        deviations[at["wrist/force"]] = self.wrist_force
        deviations[at["wrist/torque"]] = self.wrist_torque
        deviations[at["sawyer/tcp/velocity"]] = np.repeat(
            [self.tool_velocity, self.tool_angular_velocity], 3
        )
        positions = observations.poses(deviations)[:, :3]
        positions[:2] = self.tool_position
        positions[2:] = self.object_position
        return deviations

    def draw(self, rng: np.random.Generator, frames: int) -> NoiseSequence:
        """Draws the noise of all frames of an episode at once, which is far cheaper.

        Args:
          rng: generator of all draws.
          frames: number of frames in the episode, including the first.
        """
        size = (frames, observations.FRAME_SIZE)
        shifts = self._deviations * rng.standard_normal(size)
        shifts[:, _WRIST] = shifts[:, _LAST_JOINT]
        orientation = [self.tool_orientation] * 2 + [self.object_orientation] * 3
        turns = np.ones((frames, observations.NUM_POSES, 4))
        turns[..., 1:] = rng.standard_normal((*turns.shape[:2], 3))
        turns[..., 1:] *= np.array(orientation)[:, None] / 2
        turns /= np.linalg.norm(turns, axis=-1, keepdims=True)
        return NoiseSequence(shifts, np.tensordot(turns, _PRODUCT, axes=1))


class NoiseSequence:
    """Noise of one episode; `apply` is called once per frame."""

    def __init__(self, shifts: np.ndarray, turns: np.ndarray) -> None:
        """Takes shifts of frames [N, FRAME_SIZE] and matrices of turns [N, 5, 4, 4]."""
        self._draws = zip(shifts, turns, strict=True)

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """Returns a frame of `sensors.Sensors.measure` with noise.

        Quaternions keep unit length and a first component that is not negative;
        `to_pinch` is the noisy object pose minus the noisy pinch pose.
        """
        shift, turn = next(self._draws)
        noisy = frame + shift
        poses = observations.poses(noisy)
        _turn(turn, observations.poses(frame), poses)
        sensors.canonical(poses, observations.to_pinch(noisy))
        return noisy


@numba.njit(cache=True)
def _turn(turns: np.ndarray, exact: np.ndarray, poses: np.ndarray) -> None:
    """Writes the orientations of exact poses [5, 7], turned by matrices [5, 4, 4]."""
    for i in range(poses.shape[0]):
        for j in range(4):
            total = 0.0
            for k in range(4):
                total += turns[i, j, k] * exact[i, 3 + k]
            poses[i, 3 + j] = total
