"""Learns a model of skills, or a behaviour clone, from a data set of episodes.

python -m launchers.train_skills --dataset=DIR --model=helms --workdir=DIR

Models: helms (--variant=discrete and continuous are its ablations), npmp, bc and
hierarchical_bc. Writes WORKDIR/skills (the frozen bundle that RL loads), logs,
checkpoints and summary.json. The same command resumes an interrupted run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from absl import flags

from agents.offline.config import OfflineConfig
from agents.registry import MODELS
from datasets import loader
from launchers.common import cli, columns_flags, plugins, settings
from launchers.skills import report
from launchers.skills import training as skill_training

if __name__ == "__main__":  # before flags list what it registers
    plugins.import_for_command(sys.argv)

_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "Directory of the data set: of launchers.collect, or any RLDS with --proprio and "
    "--objects.",
    required=True,
)
_COLUMNS = columns_flags.define(with_order=True)
_MODEL = flags.DEFINE_string("model", "helms", f"Model: {', '.join(MODELS)}.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Directory of the results and checkpoints.", required=True
)
_RESTART = flags.DEFINE_bool(
    "restart",
    False,
    "Begin anew; a training that WORKDIR holds moves to WORKDIR.before_1 (or 2 and so "
    "on).",
)
_STEPS = flags.DEFINE_integer("steps", 2000, "Learner steps in all.")
_EVAL_EVERY = flags.DEFINE_integer(
    "eval_every", 500, "Learner steps between evaluations on held-out episodes."
)
_EVAL_BATCHES = flags.DEFINE_integer(
    "eval_batches", 16, "Batches an evaluation at most."
)
_PATIENCE = flags.DEFINE_integer(
    "patience",
    0,
    "Stop after so many evaluations without a better held-out ELBO; 0: never.",
)
_CHECKPOINT_MINUTES = flags.DEFINE_float(
    "checkpoint_minutes", 2.0, "Least minutes between checkpoints."
)
_XLA = flags.DEFINE_bool(
    "xla", False, "Compile the learner step with XLA (no gain on a CPU)."
)


_SETTINGS = settings.Settings(
    "model",
    {name: model.offline.config_type() for name, model in MODELS.items()},
    without=("seed", "learning_rate_steps"),  # set by --seed and --steps
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of initial weights, order of the data and noise."
)


def _config() -> OfflineConfig:
    """The model's settings; raises ValueError for what it does not have."""
    if not _WORKDIR.value:
        raise ValueError("--workdir is required")
    if _MODEL.value not in MODELS:
        raise ValueError(f"unknown model {_MODEL.value!r}; valid: {', '.join(MODELS)}")
    values = _SETTINGS.given(_MODEL.value)
    if values.get("variant") == "continuous":
        values.setdefault("num_skills", 1)
    if values.get("learning_rate_schedule", "constant") != "constant":
        values["learning_rate_steps"] = _STEPS.value
    return MODELS[_MODEL.value].offline.config_type(seed=_SEED.value, **values)


def main(argv: Sequence[str]) -> None:
    """Trains and prints a summary."""
    del argv
    try:
        with cli.bad_input():
            training = skill_training.SkillTraining(
                _MODEL.value,
                _config(),
                skill_training.TrainingOptions(
                    steps=_STEPS.value,
                    evaluate_every=_EVAL_EVERY.value,
                    evaluation_batches=_EVAL_BATCHES.value,
                    patience=_PATIENCE.value,
                    checkpoint_minutes=_CHECKPOINT_MINUTES.value,
                    jit_compile=_XLA.value,
                ),
                loader.Source(_COLUMNS()),
                _DATASET.value,
                _WORKDIR.value,
                restart=_RESTART.value,
            )
        summary = training.run()
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        raise SystemExit(130) from None
    except FloatingPointError as e:
        print(f"error: {e}", file=sys.stderr)
        raise SystemExit(1) from None
    print(report.describe(summary))
    print(f"the frozen model is in {os.path.join(_WORKDIR.value, 'skills')}")


if __name__ == "__main__":
    cli.run(main)
