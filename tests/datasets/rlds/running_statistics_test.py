"""Statistics of a stream against numpy's of everything at once."""

import numpy as np
import pytest

from datasets.rlds import running_statistics


def test_moments_are_those_of_all_values_at_once():
    rng = np.random.default_rng(0)
    values = (1e4 + rng.normal(size=(1000, 3)) * [1.0, 10.0, 0.0]).astype(np.float32)
    moments = running_statistics.RunningStatistics(3)
    for batch in np.split(values, [1, 10, 10, 700]):
        moments.update(batch)
    exact = values.astype(np.float64)
    np.testing.assert_array_equal(moments.count, 1000)
    np.testing.assert_allclose(moments.mean, exact.mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.std, exact.std(0), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(moments.min, exact.min(0))
    np.testing.assert_array_equal(moments.max, exact.max(0))


def test_moments_leave_out_what_is_not_finite():
    moments = running_statistics.RunningStatistics(2)
    moments.update(np.array([[1.0, np.nan], [np.inf, np.nan], [3.0, np.nan]]))
    moments.update(np.array([[5.0, 7.0]]))
    np.testing.assert_array_equal(moments.count, [3, 1])
    np.testing.assert_allclose(moments.mean, [3.0, 7.0])
    np.testing.assert_allclose(moments.std, [np.sqrt(8 / 3), 0.0])
    np.testing.assert_array_equal(moments.min, [1.0, 7.0])
    np.testing.assert_array_equal(moments.max, [5.0, 7.0])


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_quantiles_of_magnitudes_are_within_five_percent(share):
    values = np.random.default_rng(1).normal(size=20_000) * 30.0
    magnitudes = running_statistics.Magnitudes()
    magnitudes.update(values[:7])
    magnitudes.update(values[7:].reshape(-1, 1))
    magnitudes.update(np.array([np.nan, np.inf]))
    exact = np.quantile(np.abs(values), share)
    assert exact * 0.999 <= magnitudes.quantile(share) <= exact * 1.051


def test_quantiles_of_nothing_and_of_zeros_are_zero():
    magnitudes = running_statistics.Magnitudes()
    assert magnitudes.quantile(0.99) == 0.0
    magnitudes.update(np.zeros(9))
    assert magnitudes.quantile(0.99) == 0.0
