"""Returns of runs over environment steps: figures with intervals, and a summary.

A curve is the episodes of a run: rows (environment steps so far, return).
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from launchers.common import figures, intervals

Runs = Mapping[str, Sequence[np.ndarray]]  # agent -> a curve for each seed

_BINS = 10


def read(path: pathlib.Path) -> np.ndarray:
    """The rows of a CSV of episodes with a header; [episodes, columns]."""
    return np.genfromtxt(path, delimiter=",", skip_header=1, ndmin=2)


def mean_of_runs(
    curves: Sequence[np.ndarray], steps: int, since: float = 0.8
) -> dict[str, Any]:
    """The runs' means over the episodes after a part of the steps, and their mean.

    Args:
      curves: of one agent; the second column is averaged.
      steps: of a run.
      since: the part of the steps that is left out.

    Returns:
      `mean`, `low`, `high` (95 % interval over the runs) and `runs`.
    """
    means = [float(c[c[:, 0] > since * steps, 1].mean()) for c in curves]
    mean, half = float(np.mean(means)), intervals.student_half_width(means)
    return {
        "mean": mean,
        "low": mean - half,
        "high": mean + half,
        "runs": [round(value, 4) for value in means],
    }


def summary(runs: Runs, steps: int, since: float = 0.8) -> dict[str, Any]:
    """`mean_of_runs` of each agent's returns, the mean as `return`."""
    summaries: dict[str, object] = {}
    for agent, curves in runs.items():
        entry = mean_of_runs(curves, steps, since)
        summaries[agent] = {"return": entry.pop("mean"), **entry}
    return summaries


def draw(path: pathlib.Path, runs: Runs, steps: int, title: str) -> None:
    """Mean over the seeds, with its 95 % interval, of the returns in bins of steps."""
    draw_panels(path, {title: runs}, steps)


def draw_panels(path: pathlib.Path, panels: Mapping[str, Runs], steps: int) -> None:
    """`draw` side by side, by title; an agent has one colour in all."""
    figure = figures.make(0.8 + 4.2 * len(panels), 3.2)
    agents = list(dict.fromkeys(agent for runs in panels.values() for agent in runs))
    for i, (title, runs) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), i + 1)
        for agent, curves in runs.items():
            _draw_agent(axes, curves, steps, agent, f"C{agents.index(agent)}")
        axes.set(xlabel="environment steps", title=title)
        if i == 0:
            axes.set_ylabel("return of an episode")
            axes.legend(frameon=False)
    figures.save(path, figure, dpi=150)


def _draw_agent(
    axes: Axes, curves: Sequence[np.ndarray], steps: int, label: str, color: str
) -> None:
    edges = np.linspace(0, steps, _BINS + 1)
    centres, means, halves = [], [], []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = [c[(c[:, 0] > low) & (c[:, 0] <= high), 1] for c in curves]
        values = [float(v.mean()) for v in inside if len(v)]
        if values:
            centres.append((low + high) / 2)
            means.append(np.mean(values))
            halves.append(intervals.student_half_width(values))
    axes.plot(centres, means, label=label, color=color)
    bottom, top = np.subtract(means, halves), np.add(means, halves)
    axes.fill_between(centres, bottom, top, color=color, alpha=0.2, linewidth=0)
