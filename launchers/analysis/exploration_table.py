"""Table 1 of the paper: means, intervals and ratios to a fresh policy, as text."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from launchers.analysis import zero_shot_agents
from launchers.analysis.exploration import METRICS
from launchers.common import intervals

# metric -> heading; the rest of METRICS is in the JSON and CSV files only.
_COLUMNS: Mapping[str, str] = {
    "dense": "dense reward",
    "staged_sparse": "staged-sparse reward",
    "sparse": "sparse reward",
    "joints": "joints",
    "joint_velocities": "joint velocities",
    "grasp": "grasp flag",
    "held": "grasp of an object",
    "objects": "object poses",
}
MARKDOWN = "table1.md"  # file of both tables
_RATIOS = "## Ratios to the fresh MPO policy"
NOTE = (
    "Rewards are sums over an episode, of at most 400. The other columns are variances "
    "over an episode, means over the values of that part of the state: joint angles "
    "[rad²]; joint velocities [rad²/s²]; the simulated grasp sensor (1 while the "
    "hand's flag says so, else 0; fingers that close on nothing set it too); the same "
    "with an object that touches the hand; object poses (positions [m] and unit "
    "quaternions). All is read without observation noise. Means over episodes, with "
    "95 % bootstrap intervals."
)


@dataclasses.dataclass(frozen=True)
class Table:
    """Estimates of each agent (row) and metric.

    Attributes:
      episodes: number of episodes per agent.
      means: model -> metric -> estimate.
      ratios: model -> metric -> estimate of the ratio to the fresh policy; None where
        the fresh policy has 0.
    """

    episodes: int
    means: dict[str, dict[str, intervals.Estimate]]
    ratios: dict[str, dict[str, intervals.Estimate | None]]

    def to_json(self) -> dict[str, Any]:
        """Returns estimates as lists [value, low, high], with None for NaN."""

        def plain(estimate: intervals.Estimate | None) -> list[float | None] | None:
            if estimate is None:
                return None
            return [v if math.isfinite(v) else None for v in estimate]

        return {
            "episodes": self.episodes,
            "level": intervals.LEVEL,
            "compared_with": zero_shot_agents.FRESH,
            **{
                name: {
                    model: {metric: plain(e) for metric, e in row.items()}
                    for model, row in rows.items()
                }
                for name, rows in (("means", self.means), ("ratios", self.ratios))
            },
        }

    def to_csv(self) -> str:
        """Returns CSV with a line per agent and metric."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        edges = ("mean", "low", "high", "ratio", "ratio_low", "ratio_high")
        writer.writerow(("agent", "metric", *edges))
        for model, row in self.means.items():
            for metric, estimate in row.items():
                ratio = self.ratios[model][metric] or ("", "", "")
                writer.writerow((model, metric, *estimate, *ratio))
        return text.getvalue()

    def rows(self, ratios: bool = False, between: str = " ") -> list[list[str]]:
        """Returns cells, heading first; `between` stands before an interval."""
        source = self.ratios if ratios else self.means
        cells = [["agent", *_COLUMNS.values()]]
        for model, row in source.items():
            if not ratios or model != zero_shot_agents.FRESH:
                texts = [_cell(row[metric], between) for metric in _COLUMNS]
                cells.append([zero_shot_agents.title(model), *texts])
        return cells

    def to_markdown(self) -> str:
        """Returns both tables with their note."""
        parts = [
            f"# Table 1: zero-shot exploration, {self.episodes} episodes an agent",
            NOTE,
            _markdown(self.rows()),
            _RATIOS,
            "“–”: the fresh policy has 0.",
            _markdown(self.rows(ratios=True)),
        ]
        return "\n\n".join(parts) + "\n"


def means_of(markdown: str) -> str:
    """Returns the note and the table of means of what `Table.to_markdown` made."""
    _, rest = markdown.split("\n", 1)
    return rest.split(_RATIOS)[0].strip()


def make(results: Mapping[str, Mapping[str, np.ndarray]], seed: int) -> Table:
    """Estimates from model -> metric -> [episodes]; `seed` is that of the bootstrap."""
    fresh = results[zero_shot_agents.FRESH]
    return Table(
        episodes=len(fresh[METRICS[0]]),
        means={
            model: {m: intervals.bootstrap_mean(row[m], seed) for m in METRICS}
            for model, row in results.items()
        },
        ratios={
            model: {
                m: intervals.bootstrap_ratio(row[m], fresh[m], seed) for m in METRICS
            }
            for model, row in results.items()
        },
    )


def _cell(estimate: intervals.Estimate | None, between: str) -> str:
    if estimate is None:
        return "–"
    value, low, high = (_number(v) for v in estimate)
    return f"{value}{between}[{low}, {high}]"


def _number(value: float) -> str:
    if math.isinf(value):
        return "∞"
    if value == 0.0 or 0.01 <= abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1e}"


def _markdown(cells: list[list[str]]) -> str:
    head, *rows = (f"| {' | '.join(row)} |" for row in cells)
    return "\n".join([head, "|" + "---|" * len(cells[0]), *rows])
