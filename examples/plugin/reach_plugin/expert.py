"""An expert that goes straight to the target, with noise."""

from __future__ import annotations

import dm_env
import numpy as np

_NOISE = 0.3  # of the greatest displacement


class Straight:
    """Expert for `environment.Reach`."""

    def __init__(self, environment: dm_env.Environment):
        self._spec = environment.action_spec()
        self._rng = np.random.default_rng(0)

    def reset(self, seed: int) -> None:
        """Starts an episode."""
        self._rng = np.random.default_rng(seed)

    def step(self, timestep: dm_env.TimeStep) -> np.ndarray:
        """Returns a displacement, [2], m."""
        observation, high = timestep.observation, self._spec.maximum
        noise = self._rng.normal(scale=_NOISE * high)
        way = observation["target"] - observation["position"] + noise
        return np.clip(way, -high, high)
