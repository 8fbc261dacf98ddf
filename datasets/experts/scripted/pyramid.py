"""Scripted expert that builds the pyramid: one object beside another, a third on both.

As the expert that stacks, it decides from the state alone.
"""

from __future__ import annotations

import numpy as np

from datasets.experts.scripted import expert, placing
from environments import observations, rewards, tasks

_LIFT_HEIGHT = 0.03  # m of the top object above the two, on the way
# Most between the centres of two that can carry a third.
_BESIDE = rewards.NEAR_HORIZONTAL_TOLERANCE
_ON_FLOOR = 0.012  # m, most between the floor and the lowest point of what lies there


def trio(task: tasks.Task) -> tuple[str, str, str]:
    """Returns a pyramid's top object, the one that is moved, and the one beside it.

    Raises:
      ValueError: the task is no pyramid.
    """
    if task.trio is None:
        valid = ", ".join(name for name, t in tasks.TASKS.items() if t.trio)
        raise ValueError(f"the scripted expert of pyramids does no other task: {valid}")
    return task.trio


class PyramidExpert(expert.ScriptedExpert):
    """Expert for an `RgbStacking` environment whose task is a pyramid."""

    def _read_task(self) -> None:
        colors = trio(self._environment.task)
        self._top, self._left, self._right = map(observations.COLORS.index, colors)

    def _decide(self) -> expert.Command:
        placed = self._view.placed
        bridge = placing.across(self._top, self._left, self._right, _LIFT_HEIGHT)
        if self._held(self._top):
            ready = self._base_is_ready()
            return self._carry(bridge if ready else placing.to_floor(self._top, placed))
        beside = placing.beside(self._left, self._right, self._view.closing, placed)
        if self._held(self._left):
            return self._carry(beside)
        if self._is_built(bridge):
            return self._leave()
        if not self._base_is_ready():
            return self._fetch(beside)
        return self._let_go(self._left) or self._fetch(bridge)

    def _base_is_ready(self) -> bool:
        """Returns whether the two lie on the floor side by side."""
        left, right = (self._view.placed[i] for i in (self._left, self._right))
        away = np.linalg.norm((left.position - right.position)[:2])
        level = abs(left.position[2] - right.position[2])
        low = max(left.bottom, right.bottom) - placing.FLOOR < _ON_FLOOR
        return bool(away < _BESIDE and level < rewards.NEAR_VERTICAL_TOLERANCE and low)

    def _is_built(self, bridge: placing.PlacementGoal) -> bool:
        """Returns whether the top object rests on both others, by their places."""
        placed = self._view.placed
        top = placed[self._top]
        away = np.linalg.norm(top.position[:2] - bridge.goal(placed))
        above = top.position[2] - placed[self._right].position[2] > 0.03
        near = away < rewards.PYRAMID_HORIZONTAL_TOLERANCE
        return bool(self._base_is_ready() and near and above)
