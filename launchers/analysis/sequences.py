"""Statistics of label sequences: mutual information, dwell times, transitions.

Pure functions. Shape letters: T steps, A and B labels of two kinds, K skills.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def contingency(
    first: np.ndarray, second: np.ndarray, num_first: int, num_second: int
) -> np.ndarray:
    """Counts [A, B] the steps with each pair of labels; both are int [T] from 0."""
    table = np.zeros((num_first, num_second), np.int64)
    np.add.at(table, (first, second), 1)
    return table


def entropy(counts: np.ndarray) -> float:
    """Returns the entropy, in nats, of the distribution of counts of any shape."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def mutual_information(table: np.ndarray) -> float:
    """Returns the mutual information, in nats, of labels with counts [A, B]."""
    both = entropy(table)
    return max(0.0, entropy(table.sum(axis=1)) + entropy(table.sum(axis=0)) - both)


def normalized_mutual_information(table: np.ndarray) -> float:
    """Returns 2 I / (H + H) of counts [A, B]: 0 if independent, 1 if one gives another.

    The arithmetic mean normalises, as in scikit-learn's default; as there, the result
    is 1 where both kinds have only one label.
    """
    entropies = entropy(table.sum(axis=1)) + entropy(table.sum(axis=0))
    if entropies == 0.0:
        return 1.0
    return 2.0 * mutual_information(table) / entropies


def runs(sequence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels and lengths of the runs of equal labels in int [T]."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(sequence)) + 1])
    return sequence[starts], np.diff(np.concatenate([starts, [len(sequence)]]))


def mean_dwell_times(sequences: Sequence[np.ndarray], num_labels: int) -> np.ndarray:
    """Returns the mean length [K], in steps, of a label's runs; NaN if it never occurs.

    Runs cut short by the end of a sequence count with the length that they have.
    """
    steps, count = np.zeros(num_labels), np.zeros(num_labels)
    for sequence in sequences:
        labels, lengths = runs(sequence)
        np.add.at(steps, labels, lengths)
        np.add.at(count, labels, 1)
    return np.divide(steps, count, out=np.full(num_labels, np.nan), where=count > 0)


def implied_dwell_times(transitions: np.ndarray) -> np.ndarray:
    """Returns the mean run length [K] of a Markov chain [K, K]: 1 / (1 - p(stay))."""
    leave = 1.0 - np.diag(transitions)
    return np.divide(1.0, leave, out=np.full(len(leave), np.inf), where=leave > 0)


def transition_shares(sequences: Sequence[np.ndarray], num_labels: int) -> np.ndarray:
    """Returns the shares [K, K] of steps from a label (row) to each; NaN if none."""
    counts = np.zeros((num_labels, num_labels))
    for sequence in sequences:
        counts += contingency(sequence[:-1], sequence[1:], num_labels, num_labels)
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
