"""Curves of returns over environment steps: figures with intervals, and summaries.

A curve has a row (environment steps so far, return) for each episode of a run.
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
    """Reads a CSV of episodes with a header; returns [episodes, columns]."""
    return np.genfromtxt(path, delimiter=",", skip_header=1, ndmin=2)


def mean_of_runs(
    curves: Sequence[np.ndarray], steps: int, since: float = 0.8
) -> dict[str, Any]:
    """Averages each run over its last episodes, and the runs' averages over runs.

    Args:
      curves: curves of one agent; their second column is averaged.
      steps: number of steps of a run.
      since: share of the steps that is left out at the start.

    Returns:
      `mean`, `low`, `high` (95 % interval over the runs) and `runs`, the mean of each.
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
    """Returns `mean_of_runs` of each agent's returns, with the mean as `return`."""
    summaries: dict[str, object] = {}
    for agent, curves in runs.items():
        entry = mean_of_runs(curves, steps, since)
        summaries[agent] = {"return": entry.pop("mean"), **entry}
    return summaries


def draw(path: pathlib.Path, runs: Runs, steps: int, title: str) -> None:
    """Draws returns in bins of steps: their mean over seeds with its 95 % interval."""
    draw_panels(path, {title: runs}, steps)


def draw_panels(path: pathlib.Path, panels: Mapping[str, Runs], steps: int) -> None:
    """Draws panels as of `draw` side by side, by title; an agent keeps its colour."""
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
