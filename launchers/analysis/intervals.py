"""Bootstrap intervals of means, and of ratios of means. Shape letters: N episodes."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
_SAMPLES = 10_000


class Estimate(NamedTuple):
    """A value and its interval."""

    value: float
    low: float
    high: float


def mean(values: np.ndarray, seed: int, level: float = LEVEL) -> Estimate:
    """Mean of [N] values and its percentile bootstrap interval."""
    values = np.asarray(values, np.float64)
    means = values[_draws(len(values), seed)].mean(axis=1)
    return Estimate(float(values.mean()), *_interval(means, level))


def ratio(
    numerators: np.ndarray, denominators: np.ndarray, seed: int, level: float = LEVEL
) -> Estimate | None:
    """Ratio of the means of [N] and [N] values, and its interval.

    The two belong together (episodes of one seed each) and are drawn together. Where
    the drawn denominators are all 0 the ratio is infinite, so `high` may be.

    Returns:
      None if the denominators' mean is 0.
    """
    numerators = np.asarray(numerators, np.float64)
    denominators = np.asarray(denominators, np.float64)
    if denominators.mean() == 0.0:
        return None
    draws = _draws(len(numerators), seed)
    above, below = numerators[draws].mean(axis=1), denominators[draws].mean(axis=1)
    ratios = np.divide(above, below, out=np.full_like(above, np.inf), where=below != 0)
    value = numerators.mean() / denominators.mean()
    return Estimate(float(value), *_interval(ratios, level))


@functools.lru_cache(maxsize=1)
def _draws(size: int, seed: int) -> np.ndarray:
    """Indices [samples, N]: the same for one size and seed, so that columns pair up."""
    if size < 1:
        raise ValueError("there is no episode to take a mean of")
    return np.random.default_rng(seed).integers(size, size=(_SAMPLES, size))


def _interval(samples: np.ndarray, level: float) -> tuple[float, float]:
    # A sample and not a value between two: infinite ones would make NaN of that.
    tails = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
    low, high = np.quantile(samples, tails, method="nearest")
    return float(low), float(high)
