"""Noise on a scripted expert's executed actions, not on the intended ones.

The noise leads to states whose labels, the intended actions, recover from them. A clone
needs such labels where its own errors lead (DART, https://arxiv.org/abs/1703.09327).
"""

from __future__ import annotations

import numpy as np

_REVERSION = 0.15  # share of the walk lost per control step
_SCALE = (0.05, 0.3)  # range of the walk's standard deviation, drawn for each episode
_PUSH_RATE = 0.006  # per control step
_PUSH_STEPS = (4, 12)
_FLIP_RATE = 0.003  # per control step
_FLIP_STEPS = (1, 8)


class ExplorationNoise:
    """Noise of an Ornstein-Uhlenbeck walk, constant pushes, and reversed fingers."""

    def __init__(self, seed: int) -> None:
        """Prepares the noise of an episode, all drawn from `seed`."""
        self._rng = np.random.default_rng(seed)
        self._scale = self._rng.uniform(*_SCALE)
        self._walk = np.zeros(4)
        self._push = np.zeros(4)
        self._push_left = self._flip_left = 0

    def __call__(self, intended: np.ndarray) -> np.ndarray:
        """Returns the action to execute, float32 [5] in [-1, 1]."""
        rng = self._rng
        # Keeps the walk's stationary standard deviation at `_scale`.
        innovation = np.sqrt(1.0 - (1.0 - _REVERSION) ** 2)
        self._walk += -_REVERSION * self._walk
        self._walk += innovation * rng.normal(0.0, self._scale, 4)
        if self._push_left == 0 and rng.random() < _PUSH_RATE:
            self._push_left = int(rng.integers(*_PUSH_STEPS))
            self._push = rng.uniform(-1.0, 1.0, 4)
        if self._flip_left == 0 and rng.random() < _FLIP_RATE:
            self._flip_left = int(rng.integers(*_FLIP_STEPS))
        executed = intended.astype(np.float64)
        executed[:4] += self._walk
        if self._push_left:
            self._push_left -= 1
            executed[:4] += self._push
        if self._flip_left:
            self._flip_left -= 1
            executed[4] = -executed[4]
        return np.clip(executed, -1.0, 1.0).astype(np.float32)
