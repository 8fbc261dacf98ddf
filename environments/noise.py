"""Gaussian noise on observations, drawn for each control step.

White noise, one reading independent of the next; a stacked frame keeps the reading it
was made with. Fingers (whole tics), the grasp flag and the previous action stay exact:
they are a counter, a switch and our own command. Rewards and success never see noise.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np

from environments import observations

# Where numbers lie in a frame: poses [5, 7] and differences [3, 7].
_POSES = np.array(
    [
        np.r_[observations.LAYOUT[name]]
        for name in (
            "sawyer/pinch/pose",
            "sawyer/tcp/pose",
            *(f"rgb30_{color}/abs_pose" for color in observations.COLORS),
        )
    ]
)
_TO_PINCH = np.array(
    [np.r_[observations.LAYOUT[f"rgb30_{c}/to_pinch"]] for c in observations.COLORS]
)
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


def deviation(value: float, what: str) -> float:
    """A field of `ObservationNoise`: a standard deviation, and of what."""
    return dataclasses.field(default=value, metadata={"what": what})


@dataclasses.dataclass(frozen=True)
class ObservationNoise:
    """Standard deviations, in physical units; 0 switches one off.

    The paper gives none. These are of the order of a Sawyer's and a fiducial or
    multi-camera tracker's errors, and are our choice.
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
        """All deviations times a factor."""
        values = dataclasses.asdict(self)
        return ObservationNoise(**{k: v * strength for k, v in values.items()})

    @property
    def is_off(self) -> bool:
        """Whether every deviation is 0."""
        return not any(dataclasses.astuple(self))

    @functools.cached_property
    def _deviations(self) -> np.ndarray:
        """Of each number of a frame, [FRAME_SIZE]; poses apart."""
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
        return deviations

    def apply(self, frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A frame of `sensors.Sensors.measure` as noisy sensors give it.

        Quaternions stay unit ones with a first component that is not negative, and
        `to_pinch` is the noisy object pose minus the noisy pinch pose.
        """
        noisy = frame + self._deviations * rng.standard_normal(len(frame))
        noisy[_WRIST] = noisy[_LAST_JOINT]
        poses = _turned_and_shifted(
            frame[_POSES],
            np.array([self.tool_position] * 2 + [self.object_position] * 3),
            np.array([self.tool_orientation] * 2 + [self.object_orientation] * 3),
            rng,
        )
        noisy[_POSES] = poses
        noisy[_TO_PINCH] = poses[2:] - poses[0]
        return noisy


def _turned_and_shifted(
    poses: np.ndarray,
    position: np.ndarray,
    orientation: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Poses [N, 7] with noise of [N] deviations: shifts, and small rotation vectors."""
    shift, turn = rng.standard_normal((2, len(poses), 3))
    x, y, z = (turn * orientation[:, None] / 2).T
    w, a, b, c = poses[:, 3:].T
    # (1, x, y, z) times the quaternion, which is then made a unit one.
    quaternion = np.stack(
        [
            w - x * a - y * b - z * c,
            a + x * w + y * c - z * b,
            b + y * w + z * a - x * c,
            c + z * w + x * b - y * a,
        ],
        axis=1,
    )
    norm = np.sqrt((quaternion**2).sum(axis=1)) * np.where(quaternion[:, 0] < 0, -1, 1)
    moved = poses[:, :3] + shift * position[:, None]
    return np.concatenate([moved, quaternion / norm[:, None]], axis=1)
