"""Sequences of labels: how much two share, how long they stay, where they go.

Pure functions. Shape letters: T time, A and B numbers of labels of two kinds, K skills.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def contingency(
    first: np.ndarray, second: np.ndarray, num_first: int, num_second: int
) -> np.ndarray:
    """Counts [A, B] of steps with each pair of labels; both int [T] from 0."""
    table = np.zeros((num_first, num_second), np.int64)
    np.add.at(table, (first, second), 1)
    return table


def entropy(counts: np.ndarray) -> float:
    """Of the distribution that counts of any shape give, in nats."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def mutual_information(table: np.ndarray) -> float:
    """Of the labels that `table` [A, B] counts, in nats."""
    both = entropy(table)
    return max(0.0, entropy(table.sum(axis=1)) + entropy(table.sum(axis=0)) - both)


def normalized_mutual_information(table: np.ndarray) -> float:
    """2 I / (H + H) of counts [A, B]: from 0, independent, to 1, one tells the other.

    The arithmetic mean normalises, scikit-learn's default; as there, two kinds of one
    label each have 1.
    """
    entropies = entropy(table.sum(axis=1)) + entropy(table.sum(axis=0))
    if entropies == 0.0:
        return 1.0
    return 2.0 * mutual_information(table) / entropies


def runs(sequence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and lengths of the stretches of one label in int [T]."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(sequence)) + 1])
    return sequence[starts], np.diff(np.concatenate([starts, [len(sequence)]]))


def mean_dwell_times(sequences: Sequence[np.ndarray], num_labels: int) -> np.ndarray:
    """Mean length [K], in steps, of a label's stretches; NaN where it never comes.

    The ends of sequences cut stretches short, and those count as they are.
    """
    steps, count = np.zeros(num_labels), np.zeros(num_labels)
    for sequence in sequences:
        labels, lengths = runs(sequence)
        np.add.at(steps, labels, lengths)
        np.add.at(count, labels, 1)
    return np.divide(steps, count, out=np.full(num_labels, np.nan), where=count > 0)


def implied_dwell_times(transitions: np.ndarray) -> np.ndarray:
    """Mean length [K] of stretches in a Markov chain [K, K]: 1 / (1 - p(stay))."""
    leave = 1.0 - np.diag(transitions)
    return np.divide(1.0, leave, out=np.full(len(leave), np.inf), where=leave > 0)


def transition_shares(sequences: Sequence[np.ndarray], num_labels: int) -> np.ndarray:
    """Share [K, K] of the steps from a label (row) that lead to each; NaN if none."""
    counts = np.zeros((num_labels, num_labels))
    for sequence in sequences:
        counts += contingency(sequence[:-1], sequence[1:], num_labels, num_labels)
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
