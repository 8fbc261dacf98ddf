"""A point in a plane that should come to a target."""

from __future__ import annotations

import dm_env
import numpy as np
from dm_env import specs

STEPS = 20  # control steps of an episode
SPEED = 0.2  # m per control step, at most, along each axis
NEAR = 0.1  # m


class Reach(dm_env.Environment):
    """Environment of a point within 1 m of the origin along each axis.

    The action is its displacement [2] in m, and the reward 1 near the target, else 0.
    """

    def __init__(self, seed: int | None = None):
        self._rng = np.random.default_rng(seed)
        self._position = self._target = np.zeros(2)
        self._step = 0

    def observation_spec(self) -> dict[str, specs.Array]:
        """Returns the specs of position and target, [2], m."""
        return {name: specs.Array((2,), np.float64) for name in ("position", "target")}

    def action_spec(self) -> specs.BoundedArray:
        """Returns the spec of the displacement, [2], m."""
        return specs.BoundedArray((2,), np.float64, -SPEED, SPEED)

    def reset(self) -> dm_env.TimeStep:
        """Draws position and target."""
        self._position, self._target = self._rng.uniform(-1, 1, (2, 2))
        self._step = 0
        return dm_env.restart(self._observation())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Moves the point."""
        self._position = np.clip(self._position + action, -1.0, 1.0)
        self._step += 1
        end = dm_env.truncation if self._step == STEPS else dm_env.transition
        return end(float(self.success()), self._observation())

    def seed_episode(self, seed: int) -> None:
        """Seeds the next episode."""
        self._rng = np.random.default_rng(seed)

    def success(self) -> bool:
        """Returns whether the point is near the target."""
        return bool(np.linalg.norm(self._target - self._position) < NEAR)

    def _observation(self) -> dict[str, np.ndarray]:
        return {"position": self._position.copy(), "target": self._target.copy()}


def make(seed: int | None = None) -> Reach:
    """Makes the environment: `--environment=reach_plugin.environment:make`."""
    return Reach(seed)
