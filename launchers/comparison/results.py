"""Numbers of a comparison: final results with their intervals, and curves in bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from launchers.common import curves, intervals
from launchers.comparison.runs import Group, Run

AXES = {"environment steps": "steps", "hours": "hours"}  # label -> attribute of a run
VALUES = {"return": "returns", "success": "successes"}
_EPISODES_A_BIN = 8  # of the longest run
_FEWEST_BINS, _MOST_BINS = 5, 40


def summarise(group: Group) -> dict[str, Any]:
    """Returns the final results of a group: of the last fifth of each run's steps.

    Returns:
      `seeds`; `actor_steps`, `hours` and `episodes` of each run; `return` and `area`
      (the mean return of all episodes), each with `value`, `low` and `high` (95 %
      interval over runs; None for one run) and `runs`; `success`, with `value`, `low`
      and `high` (95 % Wilson interval of all runs' episodes), `episodes` and `runs`, or
      None where the environment does not say.
    """
    returns = [curve(run, "steps", "returns") for run in group.runs]
    return {
        "seeds": [run.seed for run in group.runs],
        "actor_steps": [int(run.steps.max()) for run in group.runs],
        "hours": [round(float(run.hours[-1]), 4) for run in group.runs],
        "episodes": [len(run.steps) for run in group.runs],
        "success": _success([_known(run) for run in group.runs]),
        "return": _over_runs(returns),
        "area": _over_runs(returns, since=0.0),
    }


def curve(run: Run, axis: str, value: str) -> np.ndarray:
    """Returns a curve [E, 2] of a run; `axis` and `value` are attributes of `Run`."""
    return np.stack([getattr(run, axis), getattr(run, value)], axis=1)


def panel(groups: Sequence[Group], axis: str, value: str) -> curves.Panel:
    """Makes the panel of a value of `VALUES` over an axis of `AXES`."""
    longest = max(len(run.steps) for group in groups for run in group.runs)
    bins = int(np.clip(longest // _EPISODES_A_BIN, _FEWEST_BINS, _MOST_BINS))
    runs = {
        group.label: [curve(run, AXES[axis], VALUES[value]) for run in group.runs]
        for group in groups
    }
    return curves.Panel(
        runs,
        limit=None,
        x=axis,
        y=value,
        bins=bins,
        show_runs=True,
        span=(-0.02, 1.02) if value == "success" else None,
    )


def says_success(groups: Sequence[Group]) -> bool:
    """Returns whether any run's environment says which episodes succeed."""
    return any(len(_known(run)) for group in groups for run in group.runs)


def _known(run: Run) -> np.ndarray:
    """Returns the curve of successes without the episodes that say none."""
    successes = curve(run, "steps", "successes")
    return successes[np.isfinite(successes[:, 1])]


def _success(runs: Sequence[np.ndarray]) -> dict[str, Any] | None:
    finals = [curves.last(run)[:, 1] for run in runs if len(run)]
    if not finals:
        return None
    pooled = np.concatenate(finals)
    low, high = intervals.wilson(int(pooled.sum()), len(pooled))
    return {
        "value": float(pooled.mean()),
        "low": low,
        "high": high,
        "episodes": len(pooled),
        "runs": [round(float(final.mean()), 4) for final in finals],
    }


def _over_runs(runs: Sequence[np.ndarray], since: float = 0.8) -> dict[str, Any]:
    found = curves.mean_of_runs(runs, None, since)
    if len(runs) == 1:  # tells nothing about other seeds
        found["low"] = found["high"] = None
    return {"value": found.pop("mean"), **found}
