"""Can a data set be imitated? Trains a behaviour clone on it and runs the clone.

    python -m benchmarks.clonability --dataset=DIR --steps=8000 --episodes=100

The clone is that of `launchers.train_skills --model=bc` after a fixed number of steps
(with the weights of the best held-out evaluation, as there). Its episodes have the
tasks and object sets of the data set in turns, the same randomisation and action delay,
and other seeds. Where there are several tasks or object sets, the clone gets those of
the episode as an input (`datasets.rlds.recipes.context`), and the objects by their role
(top, bottom, other) in place of their colour.

The table counts episodes by the furthest stage reached at any time; success is judged
at an episode's end. The last line is one JSON object.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags

from agents.bc.config import BcConfig
from agents.distributions.policies import FINGERS
from benchmarks import clone_runs
from launchers.common import cli
from launchers.inspection import report

_DATASET = flags.DEFINE_string("dataset", None, "Directory of the data set.")
_STEPS = flags.DEFINE_integer("steps", 8000, "Learner steps.", lower_bound=1)
_EPISODES = flags.DEFINE_integer("episodes", 100, "Of the clone.", lower_bound=1)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of weights, batches and episodes.", lower_bound=0
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Sequences a learner step.")
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 5e-4, "Step size of Adam.")
_FINGER = flags.DEFINE_string(
    "finger", "gaussian", f"The clone's finger: {', '.join(FINGERS)}."
)
_SAMPLED = flags.DEFINE_bool("sampled", False, "Draw actions; else take their mean.")
_PROCESSES = flags.DEFINE_integer(
    "processes", None, "That run episodes; one a core by default.", lower_bound=1
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Keeps the training, which the same command then continues."
)


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    head = ("task", "object set", "episodes", "success", "return", *clone_runs.STAGES)
    cells = (
        (
            r["task"],
            str(r["object_set"]),
            str(r["episodes"]),
            f"{r['success']:.0%} ({r['low']:.0%} to {r['high']:.0%})",
            f"{r['return']:.1f}",
            *map(str, r["stages"].values()),
        )
        for r in rows
    )
    return report.table(head, cells)


def main(argv: list[str]) -> None:
    """Trains, evaluates and prints."""
    del argv
    with contextlib.ExitStack() as stack:
        with cli.bad_input():
            if _DATASET.value is None:
                raise ValueError("--dataset is missing: the directory of a data set")
            settings = clone_runs.read_settings(_DATASET.value)
            config = BcConfig(
                batch_size=_BATCH_SIZE.value,
                learning_rate=_LEARNING_RATE.value,
                finger=_FINGER.value,
                seed=_SEED.value,
            )
            workdir = _WORKDIR.value or stack.enter_context(
                tempfile.TemporaryDirectory()
            )
            training = clone_runs.train(
                _DATASET.value, settings, config, _STEPS.value, workdir
            )
        trained = training.run()
        outcomes = clone_runs.evaluate(
            str(pathlib.Path(workdir) / "skills"),
            settings,
            _EPISODES.value,
            _SEED.value,
            _SAMPLED.value,
            _PROCESSES.value or len(os.sched_getaffinity(0)),
        )
    result, groups = (
        clone_runs.summary(outcomes),
        clone_runs.by_combination(outcomes, settings),
    )
    total = [{"task": "all", "object_set": "", **result}]
    print("\n".join(_table(groups + total if len(groups) > 1 else groups)))
    result |= {
        "steps": trained["steps"],
        "best_step": trained["best_step"],
        "finger": config.finger,
        "sampled": _SAMPLED.value,
        "combinations": groups,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    cli.run(main)
