"""Tasks as stages of rewards, one entry per task; rewards.py has the primitives."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable

from environments import contacts, observations, rewards

REWARDS = ("dense", "staged_sparse", "sparse")

# The contact-based success of the reference.
_SUCCESS_XY = 0.05  # m
_SUCCESS_Z = 0.02  # m

_Stages = Callable[[rewards.State], list[float]]


@dataclasses.dataclass(frozen=True)
class Task:
    """Task on the three objects.

    Attributes:
      stages: returns the rewards of the stages in a state, in order.
      sparse: returns the reward of the goal alone, 0 or 1.
      success: returns whether the goal is reached; the state needs its contacts.
      pair: colours of the top and the bottom object; None unless the task is a stack of
        two.
      dense_stages: stages of the dense reward, where they differ.
      trio: of a pyramid, its top object, the one that is brought beside the other, and
        the other.
      target: colour of the object to lift or reach; None of other tasks.
    """

    stages: _Stages
    sparse: Callable[[rewards.State], float]
    success: Callable[[rewards.State], bool]
    pair: tuple[str, str] | None = None
    dense_stages: _Stages | None = None
    trio: tuple[str, str, str] | None = None
    target: str | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """Colours in the order of `observations.ROLES`: top, bottom and other.

        The top is what moves: of a pyramid, whose first stages bring one object beside
        another, it is that object; of the other tasks, the one to lift or reach.
        """
        if self.trio:
            top, left, right = self.trio
            return left, right, top
        first = [color for color in self.pair or (self.target,) if color]
        return (*first, *(c for c in observations.COLORS if c not in first))

    def colors(self, order: str) -> tuple[str, ...]:
        """Returns the colours in one of `observations.OBJECT_ORDERS`."""
        return self.roles if order == "role" else observations.COLORS

    def reward(self, kind: str, state: rewards.State) -> float:
        """Returns the reward of a state, in [0, 1]; `kind` is one of `REWARDS`."""
        if kind == "sparse":
            return self.sparse(state)
        if kind == "staged_sparse":
            return rewards.staged(rewards.sparsify(self.stages(state)))
        return rewards.staged((self.dense_stages or self.stages)(state))


def _stack(top: str, bottom: str) -> Task:
    def stages(state: rewards.State) -> list[float]:
        stacked = rewards.stack(state, top, bottom)
        return [
            rewards.reach_and_grasp(state, top),
            rewards.lift_and_grasp(state, top),
            rewards.hover(state, top, bottom),
            stacked,
            stacked * rewards.above(state, top) if stacked else 0.0,
        ]

    def sparse(state: rewards.State) -> float:
        return rewards.stack(state, top, bottom)

    def success(state: rewards.State) -> bool:
        return (
            _is_on(state.objects[top], state.objects[bottom])
            and bottom in _contacts(state).touched(top)
            and _is_free(state, top)
        )

    return Task(stages, sparse, success, pair=(top, bottom))


def _pyramid(top: str, left: str, right: str) -> Task:
    """Makes the task that brings left to right and puts top on both."""

    def stages(state: rewards.State) -> list[float]:
        built = rewards.pyramid(state, top, left, right)
        between = rewards.HOVER_BETWEEN_TOLERANCE, rewards.PYRAMID_HEIGHT
        return [
            rewards.reach_and_grasp(state, left),
            rewards.lift_and_grasp(state, left),
            rewards.hover(state, left, right, rewards.HOVER_NEAR_TOLERANCE),
            rewards.place_near(state, left, right),
            rewards.reach_and_grasp(state, top),
            rewards.lift_and_grasp(state, top),
            rewards.hover(state, top, right, *between)
            * rewards.hover(state, top, left, *between),
            built,
            built * rewards.above(state, top) if built else 0.0,
        ]

    def dense_stages(state: rewards.State) -> list[float]:
        # The paper has no dense pyramid. A shaped reach is never quite 0, so the top
        # object's reach would make all stages before it count from the start.
        values = stages(state)
        placed = values[3]
        return values[:4] + [placed * value for value in values[4:7]] + values[7:]

    def sparse(state: rewards.State) -> float:
        return rewards.pyramid(state, top, left, right)

    def success(state: rewards.State) -> bool:
        return (
            _is_on(state.objects[top], rewards.midway(state, left, right))
            and {(top, left), (top, right)} <= _contacts(state).adjacent
            and _is_free(state, top)
        )

    return Task(
        stages, sparse, success, dense_stages=dense_stages, trio=(top, left, right)
    )


def _lift(target: str) -> Task:
    """Makes the task that holds the object in the air."""

    def stages(state: rewards.State) -> list[float]:
        return [
            rewards.reach_and_grasp(state, target),
            rewards.lift_and_grasp(state, target),
        ]

    def sparse(state: rewards.State) -> float:
        return float(rewards.lift_and_grasp(state, target) == 1.0)

    def success(state: rewards.State) -> bool:
        touched = _contacts(state).touched(target)
        held = contacts.ROBOT in touched and contacts.ELSEWHERE not in touched
        return sparse(state) == 1.0 and held

    return Task(stages, sparse, success, target=target)


def _reach(target: str) -> Task:
    """Makes the task that brings the tool to the object."""

    def stages(state: rewards.State) -> list[float]:
        return [rewards.reach(state, target)]

    def sparse(state: rewards.State) -> float:
        return float(rewards.reach(state, target) == 1.0)

    return Task(stages, sparse, lambda state: sparse(state) == 1.0, target=target)


def _contacts(state: rewards.State) -> contacts.Contacts:
    if state.contacts is None:
        raise ValueError("success needs a state that has its contacts")
    return state.contacts


def _is_free(state: rewards.State, target: str) -> bool:
    """Returns whether the object touches neither robot, basket nor ground."""
    return not _contacts(state).touched(target) & {contacts.ROBOT, contacts.ELSEWHERE}


def _is_on(top: rewards.Vector, bottom: rewards.Vector) -> bool:
    aside = math.hypot(top[0] - bottom[0], top[1] - bottom[1])
    return bool(aside < _SUCCESS_XY and top[2] - bottom[2] > _SUCCESS_Z)


TASKS: dict[str, Task] = {
    **{
        f"stack_{top}_{bottom}": _stack(top, bottom)
        for top, bottom in itertools.permutations(observations.COLORS, 2)
    },
    "pyramid": _pyramid("blue", "red", "green"),
    **{f"lift_{color}": _lift(color) for color in observations.COLORS},
    **{f"reach_{color}": _reach(color) for color in observations.COLORS},
}
