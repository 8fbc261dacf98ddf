"""Checks of one episode's arrays, which yield a line for each problem.

T is the number of control steps; arrays have T+1 entries, the last with the final
observation. Bounds are physical, with room for the noise of sensors: values beyond them
are impossible, however rare those within them are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from dm_robotics.moma.models.robots.robot_arms import sawyer_constants

from datasets.rlds import reader, schema
from environments import observations, scene
from environments.sensors import FULL_TICS, INWARD_GRASP, NO_GRASP, OUTWARD_GRASP

_TOLERANCE = 1e-6  # for float32 at the bounds
_ACTIONS = ("action", schema.EXPERT_ACTION)
Bounds = Mapping[str, tuple[Any, Any]]  # low and high of arrays of the steps
OWN_BOUNDS: Bounds = dict.fromkeys(_ACTIONS, (-1.0, 1.0)) | dict.fromkeys(
    ("reward", "discount"), (0.0, 1.0)
)
_ACTED = tuple(OWN_BOUNDS)  # arrays without a meaning in the last step
_ANGLE_ROOM = 0.02  # rad; twenty times the noise of joint angles
_UNIT_ROOM = 0.01  # deviation of a quaternion's norm from 1
_DIFFERENCE_ROOM = 1e-4  # between to_pinch and the difference of two poses
_REACH = 0.5  # m around the basket's centre, along x and y
_HEIGHTS = (-0.05, 1.0)  # m; the ground is at 0
_ANGLES = {
    "sawyer/joints/angle": slice(0, 7),
    "wrist/angle": slice(6, 7),
}
_OBJECT_POSES = tuple(f"rgb30_{c}/abs_pose" for c in observations.COLORS)
_POSES = ("sawyer/pinch/pose", "sawyer/tcp/pose", *_OBJECT_POSES)


def check_features(
    features: Mapping[str, Any], steps: Mapping[str, Any]
) -> Iterator[str]:
    """Yields a line for each difference from this project's observations and actions.

    Args:
      features: TFDS's features of a step's observations, by name.
      steps: those of the rest of a step.
    """
    valid: tuple[int, ...] = (schema.ACTION_SIZE,)
    for name in _ACTIONS:
        if name in steps and reader.array_shape(steps[name]) != valid:
            yield reader.wrong_shape(name, steps[name], valid)
    needed = tuple(observations.FRAME_SIZES)  # no learner reads the previous action
    missing = [name for name in needed if name not in features]
    if len(missing) == len(needed):
        yield (
            "has none of this project's observations: name its own by --proprio and "
            f"--objects; valid: {', '.join(features)}"
        )
    elif missing:
        yield f"lacks the observations {', '.join(missing)}"
    for name in (*needed, observations.PREVIOUS_ACTION):
        valid = observations.shape(name)
        if name in features and reader.array_shape(features[name]) != valid:
            yield reader.wrong_shape(name, features[name], valid)


def check_steps(
    steps: Mapping[str, np.ndarray],
    observation: Mapping[str, np.ndarray],
    bounds: Bounds = OWN_BOUNDS,
) -> Iterator[str]:
    """Yields a line for each kind of problem of each of an episode's arrays.

    Args:
      steps: arrays [T+1, ...] by name.
      observation: arrays [T+1, ...] by name.
      bounds: bounds of arrays of the steps, numbers or [D].
    """
    length = len(steps["is_first"])
    if length < 2:
        yield f"has {length} steps; valid: from 2"
    same_length = True
    for name, values in (*steps.items(), *observation.items()):
        if len(values) != length:
            same_length = False
            yield f"{name} has {len(values)} steps, but is_first has {length}"
        if name in _ACTED and values is steps.get(name):
            values = values[:-1]  # of the last step, only the observation has a meaning
        if np.issubdtype(values.dtype, np.floating):
            good = np.isfinite(flat(values)).all(axis=1)
            if not good.all():
                yield f"{name} is not finite at {_where(~good)}"
    for name, (low, high) in bounds.items():
        if name in steps:
            room = _TOLERANCE * np.maximum(1.0, np.abs(np.subtract(high, low)) / 2)
            yield from _outside(name, steps[name][:-1], low - room, high + room)
    if same_length and length:
        yield from _check_flags(steps, length)


def _check_flags(steps: Mapping[str, np.ndarray], length: int) -> Iterator[str]:
    place = np.arange(length)
    for name, valid in (("is_first", place == 0), ("is_last", place == length - 1)):
        wrong = steps[name].astype(bool) != valid
        if wrong.any():
            at = int(np.argmax(wrong))
            yield f"{name} is {not valid[at]} at {_where(wrong)} of {length}"
    terminal = steps["is_terminal"].astype(bool)
    if terminal[:-1].any():
        yield f"is_terminal is True at {_where(terminal[:-1])}, before the last"
    if "discount" not in steps:
        return
    discount = steps["discount"][:-1]
    if (discount[:-1] == 0).any():
        yield f"discount is 0 at {_where(discount[:-1] == 0)}, before the last action"
    if len(discount) and (discount[-1] == 0) != terminal[-1]:
        yield (
            f"is_terminal is {terminal[-1]} at the end, but the last action's discount "
            f"is {discount[-1]:g}"
        )


def check_observations(observation: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Yields a line for each impossible value of this project's observations.

    Args:
      observation: arrays [T+1, ...] by name.
    """
    known = {
        name: values
        for name, values in observation.items()
        if is_known(name, values) and len(values)
    }
    newest = {name: newest_frames(name, values) for name, values in known.items()}
    limits = sawyer_constants.JOINT_LIMITS
    low = np.asarray(limits["min"]) - _ANGLE_ROOM
    high = np.asarray(limits["max"]) + _ANGLE_ROOM
    for name, joints in _ANGLES.items():
        if name in newest:
            yield from _outside(name, newest[name], low[joints], high[joints])
    for name in (n for n in _POSES if n in newest):
        position, quaternion = newest[name][:, :3], newest[name][:, 3:]
        centre = np.array([*scene.BASKET_CENTRE, 0.0])
        low = centre + [-_REACH, -_REACH, _HEIGHTS[0]]
        high = centre + [_REACH, _REACH, _HEIGHTS[1]]
        yield from _outside(f"{name} (position)", position, low, high)
        norm = np.linalg.norm(quaternion, axis=1)
        yield from _outside(
            f"{name} (quaternion's norm)", norm, 1 - _UNIT_ROOM, 1 + _UNIT_ROOM
        )
    if "gripper/joints/angle" in newest:
        opening = newest["gripper/joints/angle"]
        yield from _outside("gripper/joints/angle", opening, 0.0, FULL_TICS)
    if "gripper/grasp" in newest:
        valid = (NO_GRASP, INWARD_GRASP, OUTWARD_GRASP)
        wrong = ~np.isin(newest["gripper/grasp"], valid).all(axis=1)
        if wrong.any():
            value = newest["gripper/grasp"][np.argmax(wrong), 0]
            names = ", ".join(map(str, valid))
            yield f"gripper/grasp is {value:g} at {_where(wrong)}; valid: {names}"
    yield from _check_differences(newest)
    for name, values in known.items():
        yield from _check_stack(name, values)


def _check_differences(newest: Mapping[str, np.ndarray]) -> Iterator[str]:
    pinch = newest.get("sawyer/pinch/pose")
    for color in observations.COLORS:
        pose = newest.get(f"rgb30_{color}/abs_pose")
        difference = newest.get(f"rgb30_{color}/to_pinch")
        if pinch is None or pose is None or difference is None:
            continue
        if len({len(pinch), len(pose), len(difference)}) == 1:
            # False for non-finite numbers, which are reported as another problem.
            wrong = np.abs(pose - pinch - difference) > _DIFFERENCE_ROOM
            if wrong.any():
                at = _where(wrong.any(axis=1))
                yield (
                    f"rgb30_{color}/to_pinch is not rgb30_{color}/abs_pose minus "
                    f"sawyer/pinch/pose at {at}"
                )


def _check_stack(name: str, values: np.ndarray) -> Iterator[str]:
    """Checks that a stack holds the newest frame first, then earlier steps' frames."""
    older, newer = values[1:, 1:], values[:-1, :-1]
    wrong = flat((older != newer) & np.isfinite(older) & np.isfinite(newer))
    if wrong.any():
        step = int(np.argmax(wrong.any(axis=1))) + 1
        yield (
            f"{name} at step {step} is not its newest frame and those of the steps "
            "before"
        )


def is_known(name: str, values: np.ndarray) -> bool:
    """Returns whether values [T+1, ...] are one of this project's observations."""
    known = name in observations.FRAME_SIZES or name == observations.PREVIOUS_ACTION
    return known and values.shape[1:] == observations.shape(name)


def newest_frames(name: str, values: np.ndarray) -> np.ndarray:
    """Returns [T+1, D], the newest frame of each stack if observations are stacked."""
    return flat(values[:, 0] if is_known(name, values) else values)


def flat(values: np.ndarray) -> np.ndarray:
    """Flattens values to [N, D]; N may be 0."""
    return values.reshape(len(values), math.prod(values.shape[1:]))


def _outside(name: str, values: np.ndarray, low: Any, high: Any) -> Iterator[str]:
    """Yields where finite values [T] or [T, D] leave their bounds."""
    low, high = np.broadcast_to(low, values.shape), np.broadcast_to(high, values.shape)
    beyond = np.maximum(low - values, values - high)
    beyond = np.where(np.isfinite(values), beyond, 0.0)
    if not (beyond > 0).any():
        return
    worst = np.unravel_index(np.argmax(beyond), values.shape)
    at = _where((flat(beyond) > 0).any(axis=1))
    number = f"[{worst[1]}]" if values.ndim > 1 and values.shape[1] > 1 else ""
    low, high = (round(float(x[worst]), 3) + 0.0 for x in (low, high))  # avoids -0
    yield f"{name}{number} is {values[worst]:.4g}, outside [{low:g}, {high:g}], at {at}"


def _where(wrong: np.ndarray) -> str:
    """Describes the steps where `wrong` [T] is True."""
    steps = np.flatnonzero(wrong)
    more = f" and {len(steps) - 1} more" if len(steps) > 1 else ""
    return f"step {steps[0]}{more}"
