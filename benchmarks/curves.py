"""Returns of runs over environment steps: figures with intervals, and a summary.

A curve is the episodes of a run: rows (environment steps so far, return).
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from launchers import evaluation, figures

Runs = Mapping[str, Sequence[np.ndarray]]  # agent -> a curve for each seed

_BINS = 10


def read(path: pathlib.Path) -> np.ndarray:
    """The rows of a CSV of episodes with a header; [episodes, columns]."""
    return np.genfromtxt(path, delimiter=",", skip_header=1, ndmin=2)


def summary(runs: Runs, steps: int, since: float = 0.8) -> dict[str, object]:
    """Mean return, with its interval over seeds, of the last fifth of the steps.

    `since` is the part of the steps that is left out.
    """
    found: dict[str, object] = {}
    for agent, curves in runs.items():
        last = [float(c[c[:, 0] > since * steps, 1].mean()) for c in curves]
        half = evaluation.mean_interval(last)
        found[agent] = {
            "return": float(np.mean(last)),
            "low": float(np.mean(last)) - half,
            "high": float(np.mean(last)) + half,
            "runs": [round(value, 2) for value in last],
        }
    return found


def draw(path: pathlib.Path, runs: Runs, steps: int, title: str) -> None:
    """Mean over the seeds, with its 95 % interval, of the returns in bins of steps."""
    figure = figures.make(5.0, 3.2)
    axes = figure.add_subplot()
    edges = np.linspace(0, steps, _BINS + 1)
    for agent, curves in runs.items():
        centres, means, halves = [], [], []
        for low, high in zip(edges[:-1], edges[1:], strict=True):
            inside = [c[(c[:, 0] > low) & (c[:, 0] <= high), 1] for c in curves]
            values = [float(v.mean()) for v in inside if len(v)]
            if values:
                centres.append((low + high) / 2)
                means.append(np.mean(values))
                halves.append(evaluation.mean_interval(values))
        means, halves = np.asarray(means), np.asarray(halves)
        (line,) = axes.plot(centres, means, label=agent)
        axes.fill_between(
            centres,
            means - halves,
            means + halves,
            color=line.get_color(),
            alpha=0.2,
            linewidth=0,
        )
    axes.set(xlabel="environment steps", ylabel="return of an episode", title=title)
    axes.legend(frameon=False)
    figures.save(path, figure, dpi=150)
