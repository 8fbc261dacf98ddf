"""Figures of a skill model; drawn without a display."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes

from launchers.common import figures


def write_figure(
    path: pathlib.Path,
    prior: np.ndarray,
    skill_use: Iterable[float],
    seen: np.ndarray | None = None,
) -> None:
    """Draws figures 3b and 3c: the learned transition prior and the skills' use.

    Args:
      path: path of the figure.
      prior: [K, K], a row for each y_{t-1}.
      skill_use: [K] shares.
      seen: [K, K] transitions in data, drawn beside the prior; NaN where unknown.
    """
    use = list(skill_use)
    ticks = range(len(prior))
    matrices = {"transition prior p(y_t | y_t-1)": prior}
    if seen is not None:
        matrices["transitions of the likeliest skills"] = seen
    figure = figures.make(4.2 * (len(matrices) + 1), 3.6)
    *left, right = figure.subplots(1, len(matrices) + 1)
    for axes, (title, matrix) in zip(left, matrices.items(), strict=True):
        draw_shares(axes, matrix)
        axes.set(title=title, xlabel="y_t", ylabel="y_t-1")
        axes.set_xticks(ticks)
        axes.set_yticks(ticks)
    bars = right.bar(ticks, use, color="#4c6a92")
    right.bar_label(bars, [f"{100 * share:.0f} %" for share in use], fontsize=8)
    right.set(title="use on held-out data", xlabel="skill", ylabel="share of the mass")
    right.set_ylim(0, 1.15 * max([*use, 0.1]))
    right.set_xticks(ticks)
    figures.save(path, figure, dpi=120)


def draw_shares(axes: Axes, matrix: np.ndarray) -> None:
    """Draws a matrix of shares in [0, 1] as colours and numbers; NaN stays empty."""
    axes.imshow(matrix, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    size = 9 if matrix.shape[1] <= 6 else 7
    for (row, column), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            text = f"{value:.2f}".removeprefix("0") if value < 1 else "1"
            color = "white" if value > 0.6 else "black"
            axes.text(
                column, row, text, ha="center", va="center", fontsize=size, color=color
            )
