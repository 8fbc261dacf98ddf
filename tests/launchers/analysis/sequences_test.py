"""Closed cases of what sequences of labels share, and of their stays."""

import itertools

import numpy as np
import pytest

from launchers.analysis import sequences


def _nmi(first, second):
    first, second = np.array(first), np.array(second)
    table = sequences.contingency(first, second, first.max() + 1, second.max() + 1)
    return sequences.normalized_mutual_information(table)


def test_contingency_counts_pairs():
    table = sequences.contingency(np.array([0, 0, 1, 0]), np.array([2, 2, 0, 1]), 2, 3)
    np.testing.assert_array_equal(table, [[0, 1, 2], [1, 0, 0]])


def test_entropy_is_in_nats():
    assert sequences.entropy(np.array([5, 5])) == pytest.approx(np.log(2))
    assert sequences.entropy(np.array([1, 0, 3])) == pytest.approx(
        0.25 * np.log(4) + 0.75 * np.log(4 / 3)
    )
    assert sequences.entropy(np.array([7, 0])) == 0.0


def test_nmi_of_equal_independent_and_constant_labels():
    labels = [0, 0, 1, 2, 2, 2]
    assert _nmi(labels, labels) == pytest.approx(1.0)
    assert _nmi(labels, [2, 2, 0, 1, 1, 1]) == pytest.approx(1.0)  # other names
    assert _nmi([0, 0, 1, 1], [0, 1, 0, 1]) == 0.0
    assert _nmi([0, 0, 1, 1], [0, 0, 0, 0]) == 0.0
    assert _nmi([0, 0, 0], [0, 0, 0]) == 1.0  # as scikit-learn has it


def test_nmi_is_normalised_by_the_arithmetic_mean():
    # One label splits the other in two: I = ln 2, H = ln 2 and ln 4.
    assert _nmi([0, 0, 1, 1], [0, 1, 2, 3]) == pytest.approx(2 / 3)
    # scikit-learn 1.3: normalized_mutual_info_score([0,0,1,1,2], [0,0,1,2,2]).
    assert _nmi([0, 0, 1, 1, 2], [0, 0, 1, 2, 2]) == pytest.approx(0.7372, abs=5e-5)


def test_nmi_is_symmetric_and_knows_no_names():
    rng = np.random.default_rng(0)
    first = rng.integers(3, size=200)
    second = np.where(rng.random(200) < 0.5, first, rng.integers(3, size=200))
    value = _nmi(first, second)
    assert 0.05 < value < 0.95
    assert _nmi(second, first) == pytest.approx(value)
    for order in itertools.permutations(range(3)):
        assert _nmi(np.array(order)[first], second) == pytest.approx(value)


def test_runs_are_cut_where_the_label_changes():
    labels, lengths = sequences.runs(np.array([1, 1, 0, 2, 2, 2]))
    np.testing.assert_array_equal(labels, [1, 0, 2])
    np.testing.assert_array_equal(lengths, [2, 1, 3])


def test_mean_dwell_times_do_not_run_across_sequences():
    found = sequences.mean_dwell_times([np.array([0, 0, 1]), np.array([1, 0])], 3)
    np.testing.assert_allclose(found, [1.5, 1.0, np.nan])


def test_implied_dwell_time_is_that_of_a_long_chain():
    transitions = np.array([[0.9, 0.1], [0.4, 0.6]])
    implied = sequences.implied_dwell_times(transitions)
    np.testing.assert_allclose(implied, [10.0, 2.5])
    rng = np.random.default_rng(1)
    chain = [0]
    for draw in rng.random(40_000):
        chain.append(0 if draw < transitions[chain[-1], 0] else 1)
    found = sequences.mean_dwell_times([np.array(chain)], 2)
    np.testing.assert_allclose(found, implied, rtol=0.05)
    shares = sequences.transition_shares([np.array(chain)], 2)
    np.testing.assert_allclose(shares, transitions, atol=0.01)
    assert sequences.implied_dwell_times(np.eye(1))[0] == np.inf


def test_transition_shares_leave_out_what_never_comes():
    found = sequences.transition_shares([np.array([0, 1, 0]), np.array([1])], 3)
    np.testing.assert_allclose(found[:2], [[0, 1, 0], [1, 0, 0]])
    assert np.isnan(found[2]).all()
