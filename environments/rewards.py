"""Reward primitives and combinators: pure functions of state, each in [0, 1].

Primitives are those of appendix F of the paper. The constants of stacking are the
public reference's; those of the pyramid are ours, because none are published. Positions
are [3] arrays in metres, world frame.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from environments import scene as scene_lib
from environments.contacts import Contacts
from environments.sensors import FULL_TICS, INWARD_GRASP

LOSS_AT_MARGIN = 0.95

REACH_TOLERANCE = 0.02
REACH_MARGIN = 0.15
LIFT_LOW = scene_lib.BASKET_HEIGHT + 0.055
LIFT_HIGH = scene_lib.BASKET_HEIGHT + 0.1
OBJECT_HEIGHT = 0.04  # between the centres of two stacked objects
HOVER_TOLERANCE = 0.01
HOVER_MARGIN = 0.2
HOVER_MIN_Z = 0.1
STACK_HORIZONTAL_TOLERANCE = 0.03
STACK_VERTICAL_TOLERANCE = 0.01
ABOVE_HEIGHT = 0.1
ABOVE_TOLERANCE = (1.0, 1.0, 0.03)  # anywhere, horizontally
ABOVE_MARGIN = 0.05

# The pyramid. Objects are about 5 cm wide, so two side by side are at least 5 cm apart.
# Up to 8 cm the third object bridges the gap with at least a centimetre on each.
NEAR_HORIZONTAL_TOLERANCE = 0.08
# Less than the 4 cm of a hover, more than the heights of lying objects differ.
NEAR_VERTICAL_TOLERANCE = 0.02
# Horizontally that of `place_near`, so that the object can be lowered; vertically that
# of any hover.
HOVER_NEAR_TOLERANCE = (0.08, 0.08, 0.01)
# Above the supports' centres; at rest on faces it is 4.1 to 5.3 cm in sets 1, 2, 4, 5.
PYRAMID_HEIGHT = 0.045
PYRAMID_VERTICAL_TOLERANCE = 0.015
# Less than half of 5 cm: an object squarely on one support is no pyramid.
PYRAMID_HORIZONTAL_TOLERANCE = 0.02
# From each support. The two regions overlap in a lens around the midpoint, 2 cm across
# where the supports are 8 cm apart.
HOVER_BETWEEN_TOLERANCE = (0.05, 0.05, 0.02)

STAGE_THRESHOLD = 0.01  # a stage with more than this is the current one
SPARSE_THRESHOLD = 0.95  # a sparsified stage counts once it exceeds this
_REACH_FIRST = 0.9

_WORKSPACE_CENTRE = scene_lib.WORKSPACE_CENTRE.tolist()
_WORKSPACE_HALF = (scene_lib.WORKSPACE_SIZE / 2).tolist()
_ATANH = math.atanh(math.sqrt(LOSS_AT_MARGIN))


Vector = Sequence[float] | np.ndarray


class State(NamedTuple):
    """State that rewards and success depend on.

    Attributes:
      pinch: position of the gripper's tool centre point, [3] m.
      objects: positions by colour, [3] m. Plain floats are fastest.
      finger: finger position, 0 (open) to 255 (closed) tics.
      grasp: grasp flag (1 none, 2 while closing, 3 while opening).
      contacts: contacts, or None if not read. Success needs them, rewards do not.
    """

    pinch: Vector
    objects: Mapping[str, Vector]
    finger: float
    grasp: int
    contacts: Contacts | None = None


def _offset(a: Vector, b: Vector) -> tuple[float, float, float]:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def _clip(value: float) -> float:
    return float(min(max(value, 0.0), 1.0))


def near(difference: Vector, tolerance: Vector | float, margin: float) -> float:
    """Returns 1 within the tolerance, else 1 - tanh^2(w d), 0.05 at the margin.

    Args:
      difference: [n], difference of two positions.
      tolerance: scalar or [n]; within it the norm of difference / tolerance is at most
        1.
      margin: distance at which the value is 1 - 0.95.
    """
    distance = math.hypot(*difference)
    if isinstance(tolerance, float):
        scaled = distance / tolerance
    else:
        scaled = math.hypot(*map(operator.truediv, difference, tolerance))
    if scaled <= 1.0:
        return 1.0
    return 1.0 - math.tanh(_ATANH / margin * distance) ** 2


def reach(state: State, target: str) -> float:
    """Rewards the tool for being near the object."""
    offset = _offset(state.objects[target], state.pinch)
    return near(offset, REACH_TOLERANCE, REACH_MARGIN)


def close_fingers(state: State) -> float:
    """Rewards closed fingers, as a distance over their range."""
    open_tics = abs(FULL_TICS - state.finger)
    return 1.0 - math.tanh(_ATANH / FULL_TICS * open_tics) ** 2


def grasp(state: State) -> float:
    """Returns 1 for an inward grasp, else at most a half for closed fingers."""
    return max(0.5 * close_fingers(state), float(state.grasp == INWARD_GRASP))


def reach_and_grasp(state: State, target: str) -> float:
    """Rewards the reach by half; the grasp counts once the tool is at the object."""
    r = reach(state, target)
    if r > _REACH_FIRST:
        return (0.5 + 0.5 * grasp(state)) * r
    return 0.5 * r


def lift(state: State, target: str) -> float:
    """Rewards the object's height linearly between two heights, in the workspace."""
    position = state.objects[target]
    height = (position[2] - LIFT_LOW) / (LIFT_HIGH - LIFT_LOW)
    if height <= 0.0:
        return 0.0
    offset = _offset(position, _WORKSPACE_CENTRE)
    if math.hypot(*map(operator.truediv, offset, _WORKSPACE_HALF)) > 1.0:
        return 0.0
    return _clip(height)


def lift_and_grasp(state: State, target: str) -> float:
    """Rewards an object that is lifted and held."""
    height = lift(state, target)
    return height * grasp(state) if height else 0.0


def hover(
    state: State,
    top: str,
    bottom: str,
    tolerance: Vector | float = HOVER_TOLERANCE,
    height: float = OBJECT_HEIGHT,
) -> float:
    """Rewards a top object at `height` over the bottom one, off the ground.

    The default height is that of an object at rest on the other; a wider horizontal
    tolerance ([3], m) is for the pyramid.
    """
    a, b = state.objects[top], state.objects[bottom]
    if a[2] < HOVER_MIN_Z:
        return 0.0
    x, y, z = _offset(b, a)
    return near((x, y, z + height), tolerance, HOVER_MARGIN)


def place_near(state: State, target: str, other: str) -> float:
    """Returns 1 if the two objects are beside each other, else 0."""
    x, y, z = _offset(state.objects[target], state.objects[other])
    return float(
        math.hypot(x, y) <= NEAR_HORIZONTAL_TOLERANCE
        and abs(z) <= NEAR_VERTICAL_TOLERANCE
    )


def stack(state: State, top: str, bottom: str) -> float:
    """Returns 1 if the top object is on the bottom one and not grasped, else 0."""
    x, y, z = _offset(state.objects[top], state.objects[bottom])
    placed = (
        math.hypot(x, y) <= STACK_HORIZONTAL_TOLERANCE
        and abs(z - OBJECT_HEIGHT) <= STACK_VERTICAL_TOLERANCE
    )
    return float(placed and state.grasp != INWARD_GRASP)


def midway(state: State, left: str, right: str) -> tuple[float, float, float]:
    """Returns the midpoint of two objects, [3] m."""
    a, b = state.objects[left], state.objects[right]
    return ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2)


def pyramid(state: State, top: str, left: str, right: str) -> float:
    """Returns 1 if the top object is on the midpoint and not grasped, else 0."""
    x, y, z = _offset(state.objects[top], midway(state, left, right))
    placed = (
        math.hypot(x, y) <= PYRAMID_HORIZONTAL_TOLERANCE
        and abs(z - PYRAMID_HEIGHT) <= PYRAMID_VERTICAL_TOLERANCE
    )
    return float(placed and state.grasp != INWARD_GRASP)


def above(state: State, target: str, height: float = ABOVE_HEIGHT) -> float:
    """Rewards the tool at `height` above the object, anywhere horizontally."""
    x, y, z = _offset(state.objects[target], state.pinch)
    return near((x, y, z + height), ABOVE_TOLERANCE, ABOVE_MARGIN)


def staged(stages: Sequence[float]) -> float:
    """Combines the rewards of stages; those before the current one count 1.

    The current stage is the last one with a reward.

    Args:
      stages: rewards in the order of the task.

    Returns:
      The sum over stages divided by their number, in [0, 1].
    """
    for index in reversed(range(len(stages))):
        if stages[index] > STAGE_THRESHOLD:
            return (index + _clip(stages[index])) / len(stages)
    return _clip(stages[0]) / len(stages)


def sparsify(stages: Sequence[float]) -> list[float]:
    """Returns, for each stage, 1 if it exceeds 0.95, else 0."""
    return [float(stage > SPARSE_THRESHOLD) for stage in stages]
