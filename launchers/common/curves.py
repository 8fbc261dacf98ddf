"""Curves of episodes over steps or time: figures with intervals, and summaries.

A curve has a row (environment steps or time so far, value) for each episode of a run.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from launchers.common import figures, intervals

Runs = Mapping[str, Sequence[np.ndarray]]  # agent -> a curve for each seed

_BINS = 10


class Mean(NamedTuple):
    """Mean of curves over runs; [B] each, without the bins that a run has none in.

    Attributes:
      x: middles of the bins, in steps or time.
      mean: mean over runs of each run's mean in the bin.
      low, high: ends of the mean's 95 % interval over runs.
    """

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True)
class Panel:
    """Panel of a figure of curves.

    Attributes:
      runs: curves by agent.
      limit: end of the bins, in steps or time; None takes each agent's longest run.
      title: title.
      x, y: labels of the axes.
      bins: number of bins.
      show_runs: whether each run has a thin line beside the mean, and the y axis fits
        the lines: an interval of two runs is so wide that they would look flat.
      span: ends of the y axis; None fits it to what is drawn.
    """

    runs: Runs
    limit: float | None
    title: str = ""
    x: str = "environment steps"
    y: str = "return of an episode"
    bins: int = _BINS
    show_runs: bool = False
    span: tuple[float, float] | None = None

    def end(self, agent: str) -> float:
        """Returns the end of an agent's bins."""
        return self.limit or max(float(curve[:, 0].max()) for curve in self.runs[agent])

    def mean(self, agent: str) -> Mean:
        """Returns the mean of an agent's runs in bins."""
        return over_runs(self.runs[agent], self.end(agent), self.bins)


def read(path: pathlib.Path) -> np.ndarray:
    """Reads a CSV of episodes with a header; returns [episodes, columns]."""
    return np.genfromtxt(path, delimiter=",", skip_header=1, ndmin=2)


def mean_of_runs(
    curves: Sequence[np.ndarray],
    steps: float | None,
    since: float = 0.8,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> dict[str, Any]:
    """Averages each run over its last episodes, and the runs' averages over runs.

    Args:
      curves: curves of one agent; their second column is averaged.
      steps: number of steps of a run; None takes those of each.
      since: share of the steps that is left out at the start.
      limits: least and largest value there is, which the interval keeps to.

    Returns:
      `mean`, `low`, `high` (95 % interval over the runs) and `runs`, the mean of each.
    """
    means = [float(last(curve, steps, since)[:, 1].mean()) for curve in curves]
    mean, half = float(np.mean(means)), intervals.student_half_width(means)
    return {
        "mean": mean,
        "low": max(mean - half, limits[0]),
        "high": min(mean + half, limits[1]),
        "runs": [round(value, 4) for value in means],
    }


def last(
    curve: np.ndarray, steps: float | None = None, since: float = 0.8
) -> np.ndarray:
    """Returns the rows of a curve after a share of `steps`, None for its own."""
    steps = curve[:, 0].max() if steps is None else steps
    return curve[curve[:, 0] > since * steps]


def summary(runs: Runs, steps: int, since: float = 0.8) -> dict[str, Any]:
    """Returns `mean_of_runs` of each agent's returns, with the mean as `return`."""
    summaries: dict[str, object] = {}
    for agent, curves in runs.items():
        entry = mean_of_runs(curves, steps, since)
        summaries[agent] = {"return": entry.pop("mean"), **entry}
    return summaries


def in_bins(curve: np.ndarray, limit: float, bins: int = _BINS) -> np.ndarray:
    """Averages a curve in bins that divide (0, limit]; [bins], NaN for an empty one."""
    number = np.ceil(curve[:, 0] / limit * bins).astype(int) - 1
    inside = (number >= 0) & (number < bins) & np.isfinite(curve[:, 1])
    number, values = number[inside], curve[inside, 1]
    counts = np.bincount(number, minlength=bins)
    sums = np.bincount(number, weights=values, minlength=bins)
    return np.divide(sums, counts, out=np.full(bins, np.nan), where=counts > 0)


def over_runs(curves: Sequence[np.ndarray], limit: float, bins: int = _BINS) -> Mean:
    """Averages runs in bins, as far as all of them go.

    The mean of the runs that are left would jump where one ends.
    """
    values = np.stack([in_bins(curve, limit, bins) for curve in curves])  # [runs, bins]
    whole = np.isfinite(values).all(axis=0)
    values, x = values[:, whole], _middles(limit, bins)[whole]
    halves = [intervals.student_half_width(column) for column in values.T]
    mean = values.mean(axis=0)
    return Mean(x, mean, mean - halves, mean + halves)


def draw(path: pathlib.Path, runs: Runs, steps: int, title: str) -> None:
    """Draws returns in bins of steps: their mean over seeds with its 95 % interval."""
    draw_panels(path, [Panel(runs, steps, title)])


def draw_panels(path: pathlib.Path, panels: Sequence[Panel]) -> None:
    """Draws panels side by side over one legend; an agent keeps its colour."""
    agents = list(dict.fromkeys(agent for panel in panels for agent in panel.runs))
    letters = 6 + max(map(len, agents), default=0)  # and what stands before a label
    columns = max(1, min(len(agents), 50 * len(panels) // letters))
    legend_rows = -(-len(agents) // columns)
    figure = figures.make(0.8 + 4.2 * len(panels), 3.0 + 0.25 * legend_rows)
    lines: dict[str, Artist] = {}
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), i + 1)
        colors = {agent: f"C{agents.index(agent)}" for agent in panel.runs}
        lines = _draw_panel(axes, panel, colors) | lines
        if i == 0:
            axes.set_ylabel(panel.y)
    if lines:
        figure.legend(
            [lines[agent] for agent in agents],
            agents,
            loc="outside lower center",
            ncols=columns,
            frameon=False,
        )
    figures.save(path, figure, dpi=150)


def _draw_panel(
    axes: Axes, panel: Panel, colors: Mapping[str, str]
) -> dict[str, Artist]:
    """Draws a panel; returns the line of each agent."""
    lines: dict[str, Artist] = {}
    means = {}
    for agent, curves in panel.runs.items():
        color = colors[agent]
        means[agent] = mean = panel.mean(agent)
        (lines[agent],) = axes.plot(mean.x, mean.mean, color=color)
        for curve in curves if panel.show_runs else ():
            values = in_bins(curve, panel.end(agent), panel.bins)
            known = np.isfinite(values)
            x = _middles(panel.end(agent), panel.bins)[known]
            axes.plot(x, values[known], color=color, alpha=0.5, lw=0.7)
    span = panel.span or (axes.get_ylim() if panel.show_runs else None)
    for agent, mean in means.items():
        axes.fill_between(
            mean.x, mean.low, mean.high, color=colors[agent], alpha=0.15, linewidth=0
        )
    axes.set(xlabel=panel.x, title=panel.title, xlim=(0, panel.limit), ylim=span)
    return lines


def _middles(limit: float, bins: int) -> np.ndarray:
    return (np.arange(bins) + 0.5) * limit / bins
