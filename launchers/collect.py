"""Collects a data set of episodes.

python -m launchers.collect --out=DIR --task=stack_red_blue --episodes=100

The data set is RLDS: `tfds.builder_from_directory(DIR)` reads it. An interrupted run is
continued by the same command.
"""

from __future__ import annotations

import functools
import pathlib
import sys
from collections.abc import Sequence

from absl import flags

import environments
from datasets import collect, experts, paths, schema
from environments import factory
from launchers import command

_OUT = flags.DEFINE_string("out", None, "Directory of the data set.", required=True)
_TASK = flags.DEFINE_string(
    "task",
    "stack_red_blue",
    "Task: stack_TOP_BOTTOM, pyramid, lift_COLOR or reach_COLOR; the scripted expert "
    "only stacks.",
)
_REWARD = flags.DEFINE_string(
    "reward", "staged_sparse", "Reward: dense, staged_sparse or sparse."
)
_OBJECT_SET = command.define_object_set()
_EPISODES = flags.DEFINE_integer("episodes", 100, "Number of episodes.")
_EXPERT = flags.DEFINE_string(
    "expert", "scripted", f"What acts: {', '.join(experts.FORMS)}."
)
_DOMAIN_RANDOMIZATION = flags.DEFINE_bool(
    "domain_randomization", True, "Whether to draw the physics anew each episode."
)
_MAX_ACTION_DELAY = flags.DEFINE_integer(
    "max_action_delay",
    2,
    "Control steps; an episode's delay is drawn from 0 to this, at most 2.",
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
    """Collects what is missing."""
    del argv
    with command.bad_input():
        settings = schema.Settings(
            task=_TASK.value,
            reward=_REWARD.value,
            object_set=_OBJECT_SET.value,
            domain_randomization=_DOMAIN_RANDOMIZATION.value,
            max_action_delay=_MAX_ACTION_DELAY.value,
            expert=_EXPERT.value,
            episodes=_EPISODES.value,
            seed=_SEED.value,
            episodes_per_shard=_EPISODES_PER_SHARD.value,
        )
        factory.validate(
            settings.task,
            settings.reward,
            settings.object_set,
            settings.max_action_delay,
        )
        make_expert = experts.factory(settings.expert, settings.task)
        if _PROCESSES.value is not None and _PROCESSES.value < 1:
            raise ValueError(f"processes is {_PROCESSES.value}; valid: from 1")
        out = pathlib.Path(_OUT.value)
        collect.check(out, settings)
        if collect.is_complete(out, settings):
            print(f"{out} is complete: {_describe(paths.read_manifest(out))}")
            return
    make_environment = functools.partial(
        environments.make,
        task=settings.task,
        reward=settings.reward,
        object_set=settings.object_set,
        domain_randomization=settings.domain_randomization,
        max_action_delay=settings.max_action_delay,
        seed=0,
    )
    try:
        with command.bad_input():
            manifest = collect.collect(
                out, settings, make_environment, make_expert, _PROCESSES.value
            )
    except KeyboardInterrupt:
        done = collect.shards_written(out, settings)
        print(
            f"interrupted: {done} of {settings.num_shards} files are written; the same "
            "command continues",
            file=sys.stderr,
        )
        raise SystemExit(130) from None
    except collect.CollectionError as e:
        print(f"error: {e}; the same command continues", file=sys.stderr)
        raise SystemExit(1) from None
    print(f"{out}: {_describe(manifest)}")


def _describe(manifest: dict) -> str:
    return (
        f"{manifest['episodes']} episodes, "
        f"{manifest['successes']} successes ({100 * manifest['success_rate']:.1f} %), "
        f"mean return {manifest['mean_return']:.1f}, {manifest['bytes'] / 1e6:.0f} MB, "
        f"{manifest['collection']['control_steps_per_second']:.0f} control steps/s"
    )


if __name__ == "__main__":
    command.run(main)
