"""Figures drawn without a display and written atomically."""

from __future__ import annotations

import pathlib

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from launchers.common import atomic_files


def make(width: float, height: float) -> Figure:
    """Makes an empty figure of this size, in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(path: pathlib.Path, figure: Figure, dpi: int) -> None:
    """Writes a figure as PNG."""
    with atomic_files.aside(path) as aside:
        figure.savefig(aside, format="png", dpi=dpi)
