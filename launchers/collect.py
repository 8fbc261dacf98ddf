"""Collects a data set of episodes.

python -m launchers.collect --out=DIR --task=stack_red_blue --episodes=100
python -m launchers.collect --out=DIR --dataset=all_pairs_stacking
python -m launchers.collect --out=DIR --cameras=basket_front_left,basket_front_right

The data set is RLDS: `tfds.builder_from_directory(DIR)` reads it. The same command
resumes an interrupted run, and with a larger --episodes extends a finished data set.
`manifest.json` beside it records how it was made, and how often each task succeeded on
each object set.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from datasets.collection import collect, collection_run, rollout, shard_files
from datasets.experts import base
from datasets.rlds import errors, files, recipes, schema
from environments import EnvironmentConfig
from launchers.common import cli, environment_flags, plugins

if __name__ == "__main__":  # before flags list what it registers
    plugins.import_for_command(sys.argv)

_CHECKPOINT = "checkpoint:DIR"  # experts of launchers.experiments.checkpoint_expert

_OUT = flags.DEFINE_string("out", None, "Directory of the data set.", required=True)
_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "One of the paper's, in place of --task and --object_set: red_on_blue_stacking (on "
    "object set 4) or all_pairs_stacking (all six on all five sets, in turns).",
)
_ENVIRONMENT = environment_flags.define(
    EnvironmentConfig.paper(),
    "task",
    "reward",
    "object_set",
    "domain_randomization",
    "max_action_delay",
    "cameras",
    "preset",
    "environment",
)
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", 64, "Pixels of both sides of the images of --cameras."
)
_EPISODES = flags.DEFINE_integer(
    "episodes",
    None,
    f"Number of episodes that are kept; 100 by default, {recipes.EPISODES} of a "
    "--dataset. More than a finished data set has extend it.",
)
_KEEP = flags.DEFINE_string(
    "keep",
    "all",
    "Which episodes: all or successes; with successes it goes on until it has as many.",
)
_EXPERT = flags.DEFINE_string(
    "expert",
    "scripted",
    f"What acts: {', '.join(base.FORMS)}, whose draws last so many control steps; "
    f"{_CHECKPOINT}, the work directory of launchers.train_agent; or "
    f"{base.USER_FORM}, a function from the environment to an expert.",
)
_PROCESSES = flags.DEFINE_integer(
    "processes", None, "Collecting processes; one a core by default."
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Episode i draws from this and i alone, whatever the processes."
)
_EPISODES_PER_SHARD = flags.DEFINE_integer(
    "episodes_per_shard",
    10,
    "Episodes a file; an interruption loses those of unfinished files.",
)


def main(argv: Sequence[str]) -> None:
    """Collects the episodes that are missing."""
    del argv
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # TensorFlow reserves a whole GPU.
    with cli.bad_input():
        settings = _settings()
        tasks = [task for task, _ in settings.combinations]
        make_expert = base.factory(
            settings.expert, *tasks, more={_CHECKPOINT: _make_checkpoint_expert}
        )
        if _PROCESSES.value is not None and _PROCESSES.value < 1:
            raise ValueError(f"processes is {_PROCESSES.value}; valid: from 1")
        out = pathlib.Path(_OUT.value)
        collect.check(out, settings)
        if collect.is_complete(out, settings):
            # Removes what a kill at the end has left.
            manifest = collect.collect(out, settings, make_expert=make_expert)
            print(f"{out} is complete: {_describe(manifest)}")
            return
        make_environment = plugins.carried(rollout.environment_maker(settings))
        if settings.environment.environment is not None:
            make_environment().close()  # says here what is wrong with it
    try:
        with cli.bad_input():
            manifest = collect.collect(
                out, settings, make_environment, make_expert, _PROCESSES.value
            )
    except KeyboardInterrupt:
        done = shard_files.count(out, settings)
        print(
            f"interrupted: {done} of {settings.num_shards} files are written; the same "
            "command continues",
            file=sys.stderr,
        )
        raise SystemExit(130) from None
    except collection_run.CollectionError as e:
        print(f"error: {e}; the same command continues", file=sys.stderr)
        raise SystemExit(1) from None
    print(f"{out}: {_describe(manifest)}")


def _make_checkpoint_expert(pinned: str) -> base.Maker:
    from launchers.experiments import checkpoint_expert

    return checkpoint_expert.factory(pinned)


def _pinned(expert: str) -> str:
    """Adds the number of the newest checkpoint to an expert `checkpoint:DIR`."""
    name, _, path = expert.partition(":")
    if name != _CHECKPOINT.partition(":")[0] or not path:
        return expert
    from launchers.experiments import (
        checkpoint_expert,  # Here, because agents take seconds to import.
    )

    return f"{name}:{checkpoint_expert.pin(path)}"


def _environment() -> EnvironmentConfig:
    """Returns the environment, with images where --cameras names cameras."""
    environment = _ENVIRONMENT()
    if not flags.FLAGS["cameras"].present:
        if flags.FLAGS["image_size"].present:
            raise ValueError("--image_size is of the images of --cameras; give both")
        return environment
    size = _IMAGE_SIZE.value
    return dataclasses.replace(
        environment, observations="vision", image_size=(size, size)
    )


def _settings() -> schema.Settings:
    named = _DATASET.value is not None
    for name in ("task", "object_set"):
        if named and flags.FLAGS[name].present:
            raise ValueError(
                f"--dataset={_DATASET.value} has its own tasks and object sets: leave "
                f"--{name} out, or --dataset"
            )
    episodes = _EPISODES.value
    if episodes is None:
        episodes = recipes.EPISODES if named else 100
    return schema.Settings(
        dataset=_DATASET.value,
        environment=_environment(),
        expert=_pinned(_EXPERT.value),
        episodes=episodes,
        keep=_KEEP.value,
        seed=_SEED.value,
        episodes_per_shard=_EPISODES_PER_SHARD.value,
    )


def _describe(manifest: dict) -> str:
    try:
        return _summary(manifest)
    except (LookupError, TypeError, ValueError) as e:
        raise ValueError(
            f"{files.MANIFEST} is damaged: it has no summary of a finished data set "
            f"({errors.named(e)})"
        ) from e


def _summary(manifest: dict) -> str:
    tried = manifest.get("tried", manifest["episodes"])
    line = (
        f"{manifest['episodes']} episodes, "
        f"{manifest['successes']} of {tried} tried succeed "
        f"({100 * manifest['success_rate']:.1f} %), "
        f"mean return {manifest['mean_return']:.1f}, {manifest['bytes'] / 1e6:.0f} MB, "
        f"{manifest['collection']['control_steps_per_second']:.0f} control steps/s"
    )
    rows = manifest.get("success_by_combination", [])
    return line if len(rows) < 2 else f"{line}\n{_table(rows)}"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Formats success in per cent: a row per task, a column per object set."""
    row_of = {(row["task"], row["object_set"]): row for row in rows}
    tasks = dict.fromkeys(row["task"] for row in rows)
    sets = dict.fromkeys(row["object_set"] for row in rows)
    lines = [f"{'success, %':20}" + "".join(f"{f'set {s}':>8}" for s in sets)]
    for task in tasks:
        cells = [
            f"{100 * row_of[task, s]['success_rate']:.0f}"
            if (task, s) in row_of
            else "-"
            for s in sets
        ]
        lines.append(f"{task:20}" + "".join(f"{cell:>8}" for cell in cells))
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
