"""Curves in bins and their summaries, with literal numbers."""

import numpy as np
import pytest

from launchers.common import atomic_files, curves


def _curve(values, every=10):
    return np.array([[every * (i + 1), value] for i, value in enumerate(values)])


def test_summary_is_of_the_last_fifth_over_seeds():
    runs = {"a": [_curve([0] * 8 + [1, 3]), _curve([9] * 8 + [3, 5])]}
    found = curves.summary(runs, steps=100)["a"]
    assert found["runs"] == [2.0, 4.0] and found["return"] == 3.0
    # Deviation sqrt(2) over 2 values, and Student's 12.706 of one degree of freedom.
    assert found["low"] == pytest.approx(3.0 - 12.7062, abs=1e-4)
    assert found["high"] == pytest.approx(3.0 + 12.7062, abs=1e-4)


def test_the_interval_of_a_mean_keeps_to_its_limits():
    successes = [np.array([[400.0, value]]) for value in (0.5, 0.75)]
    unlimited = curves.mean_of_runs(successes, 400)
    assert unlimited["low"] < 0 < 1 < unlimited["high"]
    limited = curves.mean_of_runs(successes, 400, limits=(0.0, 1.0))
    assert limited == unlimited | {"low": 0.0, "high": 1.0}


def test_a_mean_goes_as_far_as_all_runs():
    mean = curves.over_runs([_curve([1, 3, 5]), _curve([3, 5])], 30.0, bins=3)
    np.testing.assert_array_equal(mean.x, [5.0, 15.0])
    np.testing.assert_array_equal(mean.mean, [2.0, 4.0])
    np.testing.assert_allclose(mean.high - mean.mean, 12.7062, atol=1e-4)


def test_draw_takes_runs_of_unequal_lengths(tmp_path):
    runs = {"a": [_curve(range(10)), _curve(range(7))], "b": [_curve([1.0])]}
    curves.draw(tmp_path / "x.png", runs, 100, "task")
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"


def test_a_curve_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "run.csv"
    atomic_files.write_csv(path, ("steps", "return"), [(10, 0.5)])
    assert path.read_text().splitlines() == ["steps,return", "10,0.5"]
    np.testing.assert_array_equal(curves.read(path), [[10, 0.5]])
