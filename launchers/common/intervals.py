"""Intervals of means, ratios and proportions. Shape letters: N episodes or runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95
_RESAMPLES = 10_000


class Estimate(NamedTuple):
    """A value and its interval."""

    value: float
    low: float
    high: float


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Returns the Wilson interval of a proportion; (0, 1) for no trials."""
    if trials == 0:
        return 0.0, 1.0
    test = stats.binomtest(successes, trials)
    interval = test.proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def normal_half_width(values: Sequence[float]) -> float:
    """Returns the half-width of the mean's normal interval for [N]; 0 for one value."""
    return float(stats.norm.ppf((1.0 + LEVEL) / 2.0)) * _standard_error(values)


def student_half_width(values: Sequence[float]) -> float:
    """Returns the half-width of the mean's Student interval for [N]; 0 for one value.

    Suits few values: the normal interval of three is less than half as wide.
    """
    if len(values) < 2:
        return 0.0
    quantile = float(stats.t.ppf((1.0 + LEVEL) / 2.0, len(values) - 1))
    return quantile * _standard_error(values)


def _standard_error(values: Sequence[float]) -> float:
    return float(stats.sem(values)) if len(values) > 1 else 0.0


def bootstrap_mean(values: np.ndarray, seed: int, level: float = LEVEL) -> Estimate:
    """Estimates the mean of [N] values with a percentile bootstrap interval.

    Raises:
      ValueError: there are no values.
    """
    return _bootstrap((values,), lambda x, axis: x.mean(axis=axis), seed, level)


def bootstrap_ratio(
    numerators: np.ndarray, denominators: np.ndarray, seed: int, level: float = LEVEL
) -> Estimate | None:
    """Estimates the ratio of two means of [N] with a percentile bootstrap interval.

    The values are pairs (of episodes with the same seed) and are drawn as pairs. Where
    all drawn denominators are 0 the ratio is infinite, so `high` may be infinite.

    Returns:
      The estimate; None if the denominators' mean is 0.
    """

    def ratio(above: np.ndarray, below: np.ndarray, axis: int) -> np.ndarray:
        above, below = above.mean(axis=axis), below.mean(axis=axis)
        infinite = np.full_like(above, np.inf)
        return np.divide(above, below, out=infinite, where=below != 0)

    if len(denominators) and np.mean(denominators) == 0.0:
        return None
    return _bootstrap((numerators, denominators), ratio, seed, level)


def _bootstrap(
    samples: Sequence[np.ndarray],
    statistic: Callable[..., np.ndarray],
    seed: int,
    level: float,
) -> Estimate:
    samples = tuple(np.asarray(sample, np.float64) for sample in samples)
    if not len(samples[0]):
        raise ValueError("there is no episode to take a mean of")
    value = float(statistic(*samples, axis=-1))
    if len(samples[0]) == 1:
        return Estimate(value, value, value)
    with np.errstate(invalid="ignore"):  # from SciPy's interval of infinite ratios
        result = stats.bootstrap(
            samples,
            statistic,
            n_resamples=_RESAMPLES,
            vectorized=True,
            paired=True,
            method="percentile",
            random_state=np.random.default_rng(seed),
        )
    # Takes a resample: interpolation between two infinite ones would give NaN.
    tails = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
    low, high = np.quantile(result.bootstrap_distribution, tails, method="nearest")
    return Estimate(value, float(low), float(high))
