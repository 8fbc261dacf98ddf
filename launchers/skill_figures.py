"""Pictures of a skill model; needs no display."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable

import numpy as np

from launchers import figures


def write_figure(
    path: pathlib.Path, prior: np.ndarray, skill_use: Iterable[float]
) -> None:
    """Figure 3b and 3c: the learned transition prior and the skills' use."""
    figure = figures.make(8, 3.5)
    left, right = figure.subplots(1, 2)
    image = left.imshow(prior, vmin=0, vmax=1, cmap="viridis")
    figure.colorbar(image, ax=left)
    left.set(title="transition prior p(y_t | y_t-1)", xlabel="y_t", ylabel="y_t-1")
    ticks = range(len(prior))
    left.set_xticks(ticks)
    left.set_yticks(ticks)
    right.bar(ticks, list(skill_use))
    right.set(title="use on held-out data", xlabel="skill", ylabel="share", ylim=(0, 1))
    right.set_xticks(ticks)
    figures.save(path, figure, dpi=120)
