"""Report of `benchmarks.scaling`: a figure of all runs in a directory, and lines."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from launchers.common import atomic_files

_FIGURE = "scaling.png"
_HIDDEN = ("nodes", "settings", "demand", "costs", "error_messages")


def runs(out: pathlib.Path, *kinds: str) -> list[dict[str, Any]]:
    """Reads the results of runs of these kinds, light or real, in a directory."""
    return [
        atomic_files.read_json(path)
        for kind in kinds or ("real", "light")
        for path in sorted(out.glob(f"{kind}_*.json"))
    ]


def real_rows(measured: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Summarises each number of real actors, relative to one actor if measured."""
    names = ("actors", "actors_per_process", "steps_per_second", "seconds")
    rows = [{name: run[name] for name in names} for run in measured]
    alone = next((row for row in rows if row["actors"] == 1), None)
    if alone is not None:
        one = alone["steps_per_second"]
        for row in rows:
            row["times_one_actor"] = row["steps_per_second"] / one
    return rows


def tell(result: Mapping[str, Any], indent: str = "") -> None:
    """Prints results by name, one per line."""
    for name, value in result.items():
        if name in _HIDDEN:
            continue
        if isinstance(value, list):
            value = {f"{name} {i}": row for i, row in enumerate(value)}
        if isinstance(value, Mapping):
            print(f"{indent}{name}")
            tell(value, indent + "  ")
        else:
            text = f"{value:.5g}" if isinstance(value, float) else value
            print(f"{indent}{name:{44 - len(indent)}s}{text}")


def draw(out: pathlib.Path) -> None:
    """Draws real actors' steps, light ones' latencies, memory in the longest run."""
    from launchers.common import (
        figures,  # Here, so that nodes do not import Matplotlib.
    )

    figure = figures.make(11.0, 3.2)
    steps, latencies, memory = figure.subplots(1, 3)
    real = sorted(runs(out, "real"), key=lambda run: run["actors"])
    for together in sorted({run["actors_per_process"] for run in real}):
        mine = [run for run in real if run["actors_per_process"] == together]
        steps.plot(
            [run["actors"] for run in mine],
            [run["steps_per_second"] for run in mine],
            "o-",
            label=f"{together} a process",
        )
    if real:
        steps.legend(fontsize="small")
    steps.set(
        title="Real actors on this machine",
        xlabel="actors",
        ylabel="control steps a second",
        ylim=(0, None),
    )
    light = sorted(runs(out, "light"), key=lambda run: run["actors"])
    for name in ("insert", "fetch"):
        points = [
            (run["actors"], run[f"{name}_p50_seconds"], run[f"{name}_p99_seconds"])
            for run in light
            if run[f"{name}_p99_seconds"] is not None
        ]
        if points:
            actors, median, high = zip(*points, strict=True)
            (line,) = latencies.plot(actors, high, "o", label=f"{name}, p99")
            latencies.plot(
                actors, median, "_", color=line.get_color(), label=f"{name}, p50"
            )
    latencies.set(title="Light actors", xlabel="actors", ylabel="seconds", yscale="log")
    if light:
        latencies.legend(fontsize="small")
    _draw_memory(out, memory)
    figures.save(out / _FIGURE, figure, dpi=150)


def _draw_memory(out: pathlib.Path, axes: Any) -> None:
    by_run = {path: _read_samples(path) for path in out.glob("light_*.csv")}
    by_run = {path: rows for path, rows in by_run.items() if rows}
    if by_run:
        rows = max(by_run.values(), key=lambda rows: float(rows[-1]["seconds"]))
        for node in dict.fromkeys(row["node"] for row in rows):
            mine = [row for row in rows if row["node"] == node]
            axes.plot(
                [float(row["seconds"]) / 60 for row in mine],
                [float(row["rss_mb"]) for row in mine],
                label=node,
            )
        axes.legend(fontsize="small")
    axes.set(title="Memory, longest run", xlabel="minutes", ylabel="MB", ylim=(0, None))


def _read_samples(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
