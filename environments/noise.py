"""Gaussian noise on observations, drawn for each control step.

White noise, one reading independent of the next; a stacked frame keeps the reading it
was made with. Fingers (whole tics), the grasp flag and the previous action stay exact:
they are a counter, a switch and our own command. Rewards and success never see noise.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from environments import observations

_JOINTS = 7


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

    def apply(
        self, frame: Mapping[str, np.ndarray], rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """A frame of `sensors.Sensors.measure` as noisy sensors give it.

        Quaternions stay unit ones with a first component that is not negative, and
        `to_pinch` is the noisy object pose minus the noisy pinch pose.
        """
        noisy = dict(frame)
        for name, size in (
            ("angle", self.joint_angle),
            ("velocity", self.joint_velocity),
        ):
            joints = frame[f"sawyer/joints/{name}"]
            noisy[f"sawyer/joints/{name}"] = joints + rng.normal(0.0, size, _JOINTS)
            noisy[f"wrist/{name}"] = noisy[f"sawyer/joints/{name}"][-1]
        for name, size in (
            ("sawyer/joints/torque", self.joint_torque),
            ("wrist/force", self.wrist_force),
            ("wrist/torque", self.wrist_torque),
            (
                "sawyer/tcp/velocity",
                np.repeat([self.tool_velocity, self.tool_angular_velocity], 3),
            ),
        ):
            noisy[name] = frame[name] + rng.normal(0.0, size, frame[name].shape)
        tool = (self.tool_position, self.tool_orientation)
        for name in ("sawyer/pinch/pose", "sawyer/tcp/pose"):
            noisy[name] = _pose(frame[name], *tool, rng)
        for color in observations.COLORS:
            pose = _pose(
                frame[f"rgb30_{color}/abs_pose"],
                self.object_position,
                self.object_orientation,
                rng,
            )
            noisy[f"rgb30_{color}/abs_pose"] = pose
            noisy[f"rgb30_{color}/to_pinch"] = pose - noisy["sawyer/pinch/pose"]
        return noisy


def _pose(
    pose: np.ndarray, position: float, orientation: float, rng: np.random.Generator
) -> np.ndarray:
    """A pose [7] shifted, and turned by a small rotation vector."""
    x, y, z = rng.normal(0.0, orientation / 2, 3)
    w, a, b, c = pose[3:]
    # (1, x, y, z) times the quaternion, which is then made a unit one.
    turned = np.array(
        [
            w - x * a - y * b - z * c,
            a + x * w + y * c - z * b,
            b + y * w + z * a - x * c,
            c + z * w + x * b - y * a,
        ]
    )
    turned *= math.copysign(1.0, turned[0]) / np.linalg.norm(turned)
    return np.concatenate([pose[:3] + rng.normal(0.0, position, 3), turned])
