"""A small task that needs a policy with two modes."""

from __future__ import annotations

import dm_env
import numpy as np
from dm_env import specs


class TwoModes(dm_env.Environment):
    """Berries on two bushes; a bush bears again once the other one is picked.

    A pick (an action within 0.15 of -0.7 or 0.7) earns 1, unless the last pick was
    there too. The observation is constant, so nothing tells which bush is next: the
    best policy without memory goes to both alike (half of its picks earn); one that
    goes to a single bush earns next to nothing, and so does what lies between them.
    """

    _STEPS = 100

    def __init__(self) -> None:
        self._last, self._steps = 0, 0

    def reset(self) -> dm_env.TimeStep:
        """Both bushes bear."""
        self._last, self._steps = 0, 0
        return dm_env.restart(np.ones(1, np.float32))

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Picks, or misses."""
        side = int(np.sign(action[0]))
        picks = abs(abs(float(action[0])) - 0.7) < 0.15
        reward = np.float32(picks and side != self._last)
        if picks:
            self._last = side
        self._steps += 1
        if self._steps == self._STEPS:
            return dm_env.truncation(reward, np.ones(1, np.float32), np.float32(1.0))
        return dm_env.transition(reward, np.ones(1, np.float32), np.float32(1.0))

    def observation_spec(self) -> specs.Array:
        """A constant."""
        return specs.Array((1,), np.float32, name="constant")

    def action_spec(self) -> specs.BoundedArray:
        """Where to pick."""
        return specs.BoundedArray((1,), np.float32, -1.0, 1.0, name="action")

    def reward_spec(self) -> specs.Array:
        """0 or 1."""
        return specs.Array((), np.float32, name="reward")

    def discount_spec(self) -> specs.BoundedArray:
        """Always 1."""
        return specs.BoundedArray((), np.float32, 0.0, 1.0, name="discount")
