"""Runs of train_agent that an experiment compares, and their results.

A run leaves a CSV of its episodes, ROOT/PANEL/ARM_SEED.csv; its work directory is
ROOT/PANEL/runs/ARM_SEED. A run that is complete is not repeated, and an unfinished one
resumes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import subprocess
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from launchers.common import atomic_files, curves, loggers, side_by_side

_COLUMNS = ("actor_steps", "episode_return", "success")


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """Run of one arm in one panel.

    Attributes:
      root: directory of the experiment.
      panel: name of the panel, a condition.
      arm: name of the arm, an agent with its settings.
      seed: seed.
      steps: environment steps; more of them continue a run.
      settings: flags of train_agent by name, without workdir, seed and budget; None
        leaves one out.
    """

    root: pathlib.Path
    panel: str
    arm: str
    seed: int
    steps: int
    settings: Mapping[str, object]

    def __str__(self) -> str:
        return f"{self.panel}/{self.arm}_{self.seed}"

    @property
    def csv(self) -> pathlib.Path:
        """The path of the CSV of episodes."""
        return self.root / f"{self}.csv"

    @property
    def workdir(self) -> pathlib.Path:
        """The work directory of train_agent."""
        return self.root / self.panel / "runs" / f"{self.arm}_{self.seed}"

    @property
    def log(self) -> pathlib.Path:
        """The path of train_agent's output."""
        return self.workdir.with_name(f"{self.workdir.name}.log")

    def command(self) -> list[str]:
        """Returns the command that starts or continues the run."""
        flags = {
            **self.settings,
            "seed": self.seed,
            "max_actor_steps": self.steps,
            "workdir": self.workdir,
        }
        return side_by_side.command("launchers.train_agent", flags)

    def start(self, core: int | None) -> subprocess.Popen:
        """Starts or continues the run on a core; None: on all."""
        return side_by_side.start(self.command(), self.log, core)

    def is_complete(self) -> bool:
        """Returns whether the CSV has all steps."""
        return self.csv.exists() and curves.read(self.csv)[-1, 0] >= self.steps

    def steps_taken(self) -> int:
        """Returns the environment steps of the episodes in the work directory."""
        rows = loggers.actor_rows(str(self.workdir))
        return min(int(rows[-1][_COLUMNS[0]]), self.steps) if rows else 0

    def keep(self) -> None:
        """Writes the CSV of a run that has ended."""
        steps, value, success = _COLUMNS
        rows = (
            (int(row[steps]), round(row[value], 4), int(row[success]))
            for row in loggers.actor_rows(str(self.workdir))
        )
        atomic_files.write_csv(self.csv, _COLUMNS, rows)


def run_all(runs: Sequence[Run], jobs: int | None, pinned: bool = True) -> None:
    """Runs what is incomplete, with a progress bar over environment steps.

    An exception, SystemExit and KeyboardInterrupt too, lets all runs save and end.

    Args:
      runs: the runs, in the order in which they start.
      jobs: most runs at a time; None: one per core.
      pinned: whether each has a core of its own.

    Raises:
      RuntimeError: a run failed.
    """
    taken = {run: run.steps_taken() for run in runs if not run.is_complete()}
    starts = {
        run: (run.start if pinned else lambda core, run=run: run.start(None))
        for run in taken
    }
    total = sum(run.steps for run in taken)
    bar = tqdm.tqdm(total=total, unit="step", desc="environment steps")

    def report(running: Collection[Run]) -> None:
        taken.update({run: run.steps_taken() for run in running})
        bar.update(sum(taken.values()) - bar.n)

    with bar, contextlib.closing(side_by_side.run(starts, jobs, report)) as ended:
        for run, code in ended:
            if code:
                raise RuntimeError(f"{run} ended with {code}; see {run.log}")
            run.keep()
            taken[run] = run.steps


def results(
    runs: Sequence[Run],
) -> dict[str, tuple[dict[str, list[np.ndarray]], dict[str, dict[str, Any]]]]:
    """Reads the runs that have a CSV.

    Returns:
      By panel: curves (steps, return) of the seeds by arm; and by arm `success` and
      `return` of the last fifth of the steps, `area`, the mean return of all of them,
      in `low` and `high` the ends of their 95 % intervals over the seeds, and in `runs`
      the values of the seeds.
    """
    found: dict[str, tuple[dict[str, list[np.ndarray]], dict[str, dict[str, Any]]]] = {}
    for panel in dict.fromkeys(run.panel for run in runs):
        returns: dict[str, list[np.ndarray]] = {}
        entries: dict[str, dict[str, Any]] = {}
        for arm in dict.fromkeys(run.arm for run in runs):
            kept = [
                run
                for run in runs
                if (run.panel, run.arm) == (panel, arm) and run.csv.exists()
            ]
            if not kept:
                continue
            rows = [curves.read(run.csv) for run in kept]
            steps = kept[0].steps
            returns[arm] = [r[:, [0, 1]] for r in rows]
            means = {
                "success": curves.mean_of_runs(
                    [r[:, [0, 2]] for r in rows], steps, limits=(0.0, 1.0)
                ),
                "return": curves.mean_of_runs(returns[arm], steps),
                "area": curves.mean_of_runs(returns[arm], steps, since=0.0),
            }
            entries[arm] = {name: entry["mean"] for name, entry in means.items()}
            for key in ("low", "high", "runs"):
                entries[arm][key] = {name: entry[key] for name, entry in means.items()}
        found[panel] = returns, entries
    return found


def describe(title: str, entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns lines of a panel's results."""
    lines = [title]
    for arm, entry in entries.items():
        cells = (
            f"{name} {entry[name]:.2f} ({low:.2f} to {entry['high'][name]:.2f})"
            for name, low in entry["low"].items()
        )
        lines.append(f"  {arm:20s}" + "; ".join(cells))
    return "\n".join(lines)
