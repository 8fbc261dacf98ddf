"""Small task that needs a policy with two modes."""

from __future__ import annotations

import dm_env
import numpy as np
from dm_env import specs


class TwoModes(dm_env.Environment):
    """Picking from two bushes, each of which bears again once the other is picked.

    A pick (an action within 0.15 of -0.7 or 0.7) earns 1, unless the last pick was at
    the same bush. The observation is constant and does not tell which bush is next: the
    best policy without memory picks from both equally often (half of its picks earn);
    one that picks from a single bush earns almost nothing, as does one that acts
    between the two.
    """

    _STEPS = 100

    def __init__(self) -> None:
        self._last, self._steps = 0, 0

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode in which both bushes have berries."""
        self._last, self._steps = 0, 0
        return dm_env.restart(np.ones(1, np.float32))

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Picks at the action's place."""
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
        """Returns the spec of the constant observation."""
        return specs.Array((1,), np.float32, name="constant")

    def action_spec(self) -> specs.BoundedArray:
        """Returns the spec of actions, the place to pick."""
        return specs.BoundedArray((1,), np.float32, -1.0, 1.0, name="action")

    def reward_spec(self) -> specs.Array:
        """Returns the spec of rewards: 0 or 1."""
        return specs.Array((), np.float32, name="reward")

    def discount_spec(self) -> specs.BoundedArray:
        """Returns the spec of discounts: always 1."""
        return specs.BoundedArray((), np.float32, 0.0, 1.0, name="discount")
