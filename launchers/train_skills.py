"""Learns skills from a data set of episodes.

python -m launchers.train_skills --dataset=DIR --model=helms --workdir=DIR

Writes WORKDIR/skills (the frozen bundle that RL loads), logs, checkpoints, a figure and
summary.json. An interrupted run is continued by the same command.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from absl import flags

from agents.helms.config import HelmsConfig
from datasets import loader
from environments import observations
from launchers import command, skill_training

_DEFAULTS = HelmsConfig()
_MODELS = ("helms",)

_DATASET = flags.DEFINE_string(
    "dataset", None, "Directory of the data set (launchers.collect).", required=True
)
_MODEL = flags.DEFINE_string("model", "helms", f"Model: {', '.join(_MODELS)}.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Directory of the results and checkpoints.", required=True
)
_STEPS = flags.DEFINE_integer("steps", 2000, "Learner steps in all.")
_NUM_SKILLS = flags.DEFINE_integer(
    "num_skills", _DEFAULTS.num_skills, "Number of skills K."
)
_LATENT_DIM = flags.DEFINE_integer(
    "latent_dim", _DEFAULTS.latent_dim, "Dimensions of the latent z."
)
_LOOK_AHEAD = flags.DEFINE_integer(
    "look_ahead", _DEFAULTS.look_ahead, "Control steps the high level sees ahead."
)
_WINDOW = flags.DEFINE_integer(
    "window", _DEFAULTS.window, "Control steps of a training sequence."
)
_HIDDEN_SIZES = flags.DEFINE_list(
    "hidden_sizes",
    [str(size) for size in _DEFAULTS.hidden_sizes],
    "Units of the hidden layers of every network.",
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", _DEFAULTS.batch_size, "Sequences a learner step."
)
_LEARNING_RATE = flags.DEFINE_float(
    "learning_rate", _DEFAULTS.learning_rate, "Step size of Adam."
)
_MAX_GRADIENT_NORM = flags.DEFINE_float(
    "max_gradient_norm", None, "Clip the gradient at this norm; none by default."
)
_BETA_Y = flags.DEFINE_float(
    "beta_y", _DEFAULTS.beta_y, "Weight of the categorical KL."
)
_BETA_Z = flags.DEFINE_float("beta_z", _DEFAULTS.beta_z, "Weight of the latent KL.")
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of initial weights, order of the data and noise."
)
_EVAL_EVERY = flags.DEFINE_integer(
    "eval_every", 500, "Learner steps between evaluations on held-out episodes."
)
_EVAL_BATCHES = flags.DEFINE_integer(
    "eval_batches", 16, "Batches an evaluation at most."
)
_CHECKPOINT_MINUTES = flags.DEFINE_float(
    "checkpoint_minutes", 2.0, "Least minutes between checkpoints."
)
_XLA = flags.DEFINE_bool(
    "xla", False, "Compile the learner step with XLA (no gain on a CPU)."
)


def _config() -> HelmsConfig:
    if _MODEL.value not in _MODELS:
        raise ValueError(
            f"model {_MODEL.value!r} is not available yet; valid: {', '.join(_MODELS)}"
        )
    try:
        hidden_sizes = tuple(int(size) for size in _HIDDEN_SIZES.value)
    except ValueError:
        raise ValueError(
            f"hidden_sizes must be integers, got {','.join(_HIDDEN_SIZES.value)}"
        ) from None
    return HelmsConfig(
        num_skills=_NUM_SKILLS.value,
        latent_dim=_LATENT_DIM.value,
        look_ahead=_LOOK_AHEAD.value,
        hidden_sizes=hidden_sizes,
        beta_y=_BETA_Y.value,
        beta_z=_BETA_Z.value,
        window=_WINDOW.value,
        batch_size=_BATCH_SIZE.value,
        learning_rate=_LEARNING_RATE.value,
        max_gradient_norm=_MAX_GRADIENT_NORM.value,
        seed=_SEED.value,
    )


def main(argv: Sequence[str]) -> None:
    """Trains, and says what came out."""
    del argv
    # A scheduler's SIGTERM ends like Ctrl-C: with a checkpoint.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with command.bad_input():
            config = _config()
            options = skill_training.TrainingOptions(
                steps=_STEPS.value,
                evaluate_every=_EVAL_EVERY.value,
                evaluation_batches=_EVAL_BATCHES.value,
                checkpoint_minutes=_CHECKPOINT_MINUTES.value,
                jit_compile=_XLA.value,
            )
            training = skill_training.SkillTraining(
                config,
                options,
                loader,
                _DATASET.value,
                _WORKDIR.value,
                observation_names=observations.GROUPS,
            )
        summary = training.run()
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        raise SystemExit(130) from None
    except FloatingPointError as e:
        print(f"error: {e}", file=sys.stderr)
        raise SystemExit(1) from None
    print(skill_training.describe(summary))
    print(f"the frozen skills are in {os.path.join(_WORKDIR.value, 'skills')}")


if __name__ == "__main__":
    command.run(main)
