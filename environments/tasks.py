"""Tasks: which stages make a reward. One entry a task; rewards.py has the parts."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping

from environments import observations, rewards

REWARDS = ("dense", "staged_sparse", "sparse")


@dataclasses.dataclass(frozen=True)
class Task:
    """A task on the three objects.

    Attributes:
      stages: rewards of the stages in a state, in order.
      sparse: the reward of the goal alone, 0 or 1.
      top, bottom: colours of the pair that success is about.
    """

    stages: Callable[[rewards.State], list[float]]
    sparse: Callable[[rewards.State], float]
    top: str
    bottom: str

    def reward(self, kind: str, state: rewards.State) -> float:
        """The reward of a state, in [0, 1]; `kind` is one of `REWARDS`."""
        if kind == "sparse":
            return self.sparse(state)
        stages = self.stages(state)
        return rewards.staged(
            rewards.sparsify(stages) if kind == "staged_sparse" else stages
        )


def _stack(top: str, bottom: str) -> Task:
    def stages(state: rewards.State) -> list[float]:
        stacked = rewards.stack(state, top, bottom)
        return [
            rewards.reach_and_grasp(state, top),
            rewards.lift_and_grasp(state, top),
            rewards.hover(state, top, bottom),
            stacked,
            stacked * rewards.above(state, top),
        ]

    def sparse(state: rewards.State) -> float:
        return rewards.stack(state, top, bottom)

    return Task(stages, sparse, top, bottom)


TASKS: Mapping[str, Task] = {
    f"stack_{top}_{bottom}": _stack(top, bottom)
    for top, bottom in itertools.permutations(observations.COLORS, 2)
}
