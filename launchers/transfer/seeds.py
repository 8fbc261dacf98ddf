"""Runs of one experiment with several seeds, side by side, and their comparison.

Each run is `launchers.train_agent` in a process, pinned to a core, with the work
directory WORKDIR/seed_SEED and its output in WORKDIR/seed_SEED.log.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence

from launchers.common import cli, loggers, side_by_side
from launchers.comparison import page
from launchers.experiments import record
from launchers.experiments.config import RunConfig
from launchers.transfer import training

_COMPARISON = "comparison"  # directory in the work directory


class SeedsError(RuntimeError):
    """Raised, with one line, when runs have failed; the others have ended.

    Attributes:
      exit_code: exit code for the command.
    """

    def __init__(self, message: str, exit_code: int = 1):
        super().__init__(message)
        self.exit_code = exit_code


def parse(texts: Sequence[str]) -> list[int]:
    """Returns the seeds of a list flag; raises ValueError, in one line, for others."""
    with contextlib.suppress(ValueError):
        seeds = [int(text) for text in texts]
        if len(set(seeds)) == len(seeds):
            return seeds
    raise ValueError(
        f"seeds must be different integers, as in --seeds=0,1,2, got {','.join(texts)}"
    )


def split(config: RunConfig, seeds: Sequence[int]) -> list[RunConfig]:
    """Returns the configuration of each seed's run.

    Raises:
      ValueError: in one line, if a work directory holds another run.
    """
    root = pathlib.Path(config.workdir)
    if (root / record.CONFIG).exists():
        raise ValueError(f"workdir {root} holds a run of its own; give another")
    configs = [
        dataclasses.replace(config, seed=seed, workdir=str(root / f"seed_{seed}"))
        for seed in seeds
    ]
    for each in configs:
        record.holds(each)
    return configs


def run(
    configs: Sequence[RunConfig],
    arguments: Sequence[str],
    jobs: int | None = None,
    report: Callable[[str], None] = print,
) -> None:
    """Runs all seeds that are not complete, and compares them in WORKDIR/comparison.

    Where one fails, the others go on.

    Args:
      configs: configurations of the runs, of `split`.
      arguments: arguments of train_agent that make them.
      jobs: most runs at a time; None takes one per core.
      report: receives lines of progress.

    Raises:
      SeedsError: which runs have failed, and where to read why; or a run's own line of
        bad input, with which all have stopped.
      KeyboardInterrupt: after all have saved.
    """
    budget = configs[0].budget
    unfinished = {each.seed: each for each in configs if not training.is_complete(each)}
    starts = {
        seed: functools.partial(_start, each, arguments)
        for seed, each in unfinished.items()
    }
    progress = {
        seed: loggers.Progress(each.workdir, budget.max_actor_steps)
        for seed, each in unfinished.items()
    }
    next_report = time.monotonic() + budget.log_seconds

    def show(running: Collection[int]) -> None:
        nonlocal next_report
        if time.monotonic() >= next_report:
            next_report = time.monotonic() + budget.log_seconds
            for seed in running:
                report(f"seed {seed}: {progress[seed].line()}")

    failed = []
    with contextlib.closing(side_by_side.run(starts, jobs, show)) as ended:
        for seed, code in ended:
            if code == 0:
                report(f"seed {seed} has ended")
                continue
            log = _log(unfinished[seed])
            fault = (log.read_text(errors="replace").splitlines() or [""])[-1]
            if code == cli.EXIT_BAD_INPUT:
                raise SeedsError(fault.removeprefix("error: "), code)
            failed.append(f"seed {seed} failed with exit code {code} ({fault}; {log})")
            report(failed[-1])
    _compare(configs, report)
    if failed:
        raise SeedsError("; ".join(failed))


def _start(config: RunConfig, arguments: Sequence[str], core: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "launchers.train_agent", *arguments, "--seeds="]
    command += [f"--seed={config.seed}", f"--workdir={config.workdir}"]
    return side_by_side.start(command, _log(config), core)


def _log(config: RunConfig) -> pathlib.Path:
    return pathlib.Path(f"{config.workdir}.log")


def _compare(configs: Sequence[RunConfig], report: Callable[[str], None]) -> None:
    out = pathlib.Path(configs[0].workdir).parent / _COMPARISON
    begun = [each.workdir for each in configs if loggers.actor_rows(each.workdir)]
    if not begun:
        return
    for line in page.lines(page.compare(begun, str(out))):
        report(line)
    report(f"the comparison is {out / page.PAGE}")
