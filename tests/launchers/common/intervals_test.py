"""Intervals where their distribution is known."""

import math

import numpy as np
import pytest

from launchers.common import intervals
from launchers.common.intervals import bootstrap_mean, bootstrap_ratio


def test_one_value_has_no_spread():
    assert bootstrap_mean(np.full(5, 3.0), seed=0) == (3.0, 3.0, 3.0)
    assert bootstrap_mean(np.array([2.0]), seed=0) == (2.0, 2.0, 2.0)


def test_quantiles_are_those_of_all_resamples():
    # Of (0, 0, 6) the 27 resamples have means 0, 2, 4, 6 in 8, 12, 6 and 1 of them.
    values = np.array([0.0, 0.0, 6.0])
    assert bootstrap_mean(values, seed=3, level=0.5) == (2.0, 0.0, 4.0)
    assert bootstrap_mean(values, seed=3, level=0.9) == (2.0, 0.0, 4.0)
    assert bootstrap_mean(values, seed=3, level=0.95) == (2.0, 0.0, 6.0)


def test_many_values_have_the_normal_interval():
    values = np.random.default_rng(0).normal(5.0, 2.0, size=400)
    found = bootstrap_mean(values, seed=0)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.02)
    assert found.high == pytest.approx(values.mean() + half, abs=0.02)


def test_the_seed_decides():
    values = np.random.default_rng(0).normal(size=30)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


def test_a_ratio_pairs_its_episodes():
    below = np.random.default_rng(0).uniform(0.1, 10.0, size=50)
    assert bootstrap_ratio(3.0 * below, below, seed=0) == pytest.approx((3.0, 3.0, 3.0))
    other = bootstrap_ratio(3.0 * below[::-1], below, seed=0)
    assert other is not None and other.low < 2.5 and other.high > 3.5


def test_a_ratio_to_nothing():
    assert bootstrap_ratio(np.array([1.0, 2.0]), np.zeros(2), seed=0) is None
    found = bootstrap_ratio(np.array([1.0, 1.0]), np.array([0.0, 2.0]), seed=0)
    assert found == (1.0, 0.5, math.inf)


def test_no_episode_has_no_mean():
    with pytest.raises(ValueError, match="no episode"):
        bootstrap_mean(np.zeros(0), seed=0)


def test_intervals_of_few_values():
    # Deviation 1 over 4 values: 1.96 * sqrt(2 / 3) / 2; Student's quantile is 3.182.
    values = [1, 1, 3, 3]
    normal = intervals.normal_half_width(values)
    assert normal == pytest.approx(1.13159, abs=1e-4)
    student = intervals.student_half_width(values)
    assert student / normal == pytest.approx(3.18245 / 1.95996, abs=1e-4)
    assert intervals.normal_half_width([5.0]) == 0.0
    assert intervals.student_half_width([5.0]) == 0.0


def test_the_wilson_interval_of_60_in_100_as_in_any_table():
    assert intervals.wilson(60, 100) == pytest.approx((0.5020, 0.6906), abs=1e-4)
    assert intervals.wilson(0, 0) == (0.0, 1.0)
