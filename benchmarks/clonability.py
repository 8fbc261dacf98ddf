"""Can a data set be imitated? Trains a behaviour clone on it and runs the clone.

    python -m benchmarks.clonability --dataset=DIR --steps=8000 --episodes=100

The clone is `launchers.train_skills --model=bc` for a fixed number of steps (the best
held-out evaluation's weights, as there). Its episodes have the data set's own tasks and
object sets in turns, randomisation and action delay, and other seeds. Where there are
several tasks or object sets, the clone gets the episode's as an input
(`datasets.recipes.context`).

The table counts the episodes by the furthest stage that they reach at any time; success
is that of an episode's end. The last line is one JSON object.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import itertools
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags

import environments
from agents import bundles
from agents.bc.config import BcConfig
from datasets import loader, recipes, schema
from environments import observations, rewards, tasks
from launchers import command, dataset_report, evaluation, experiment, skill_training
from launchers.analysis.workers import Workers

_DATASET = flags.DEFINE_string("dataset", None, "Directory of the data set.")
_STEPS = flags.DEFINE_integer("steps", 8000, "Learner steps.", lower_bound=1)
_EPISODES = flags.DEFINE_integer("episodes", 100, "Of the clone.", lower_bound=1)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of weights, batches and episodes.", lower_bound=0
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Sequences a learner step.")
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 5e-4, "Step size of Adam.")
_SAMPLED = flags.DEFINE_bool("sampled", False, "Draw actions; else take their mean.")
_PROCESSES = flags.DEFINE_integer(
    "processes", None, "That run episodes; one a core by default.", lower_bound=1
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Keeps the training, which the same command then continues."
)

# The stages of a stack; of `tasks.Task.stages`, the first is a reach and a grasp.
STAGES = ("none", "reach", "grasp", "lift", "hover", "stack", "leave")
_EVALUATE_EVERY = 500  # learner steps


@dataclasses.dataclass(frozen=True)
class Job:
    """One episode of the clone; picklable.

    Attributes:
      bundle: directory of the clone.
      settings: of the data set.
      index: of the episode, which decides its task and object set.
      seed: of the environment and of the draws of actions.
      sampled: whether actions are drawn.
    """

    bundle: str
    settings: schema.Settings
    index: int
    seed: int
    sampled: bool


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What happened in an episode: `stage`, the furthest, indexes `STAGES`."""

    index: int
    success: bool
    episode_return: float
    stage: int


def furthest_stage(task: tasks.Task, state: rewards.State) -> int:
    """Returns the index in `STAGES` of the latest stage that a state has reached."""
    values = [rewards.reach(state, task.pair[0]), *task.stages(state)]
    reached = np.flatnonzero(rewards.sparsify(values))
    return int(reached[-1]) + 1 if reached.size else 0


def run_episode(job: Job) -> Outcome:
    """Runs a job; the process keeps the environment and the compiled clone."""
    environment, act = _runner(job.bundle, job.settings)
    combination = task, object_set = job.settings.combination(job.index)
    environment.seed_episode(job.seed)
    environment.set_task(task)
    environment.set_objects(object_set)
    told = recipes.context(combination)
    timestep, episode_return, stage = environment.reset(), 0.0, 0
    for step in itertools.count():
        if timestep.last():
            break
        observation = dict(timestep.observation)
        if _has_context(job.settings):
            observation["objects"] = np.append(observation["objects"], told)
        seed = tf.constant([job.seed, step], tf.int32)
        action = act(observation, seed, tf.constant(job.sampled))
        timestep = environment.step(action.numpy())
        episode_return += float(timestep.reward)
        stage = max(stage, furthest_stage(environment.task, environment.state()))
    return Outcome(job.index, environment.success(), episode_return, stage)


@functools.lru_cache(maxsize=1)
def _runner(bundle: str, settings: schema.Settings):
    clone = bundles.load(bundle, model="bc")
    task, object_set = settings.combination(0)
    environment = environments.make(
        task=task,
        reward="staged_sparse",
        object_set=object_set,
        domain_randomization=settings.domain_randomization,
        max_action_delay=settings.max_action_delay,
        seed=0,
        grouped=True,
    )

    @tf.function
    def act(observation, seed, sampled):
        if sampled:
            return clone.sample(observation, seed)
        return clone.mean(observation)

    return environment, act


def _has_context(settings: schema.Settings) -> bool:
    return len(settings.combinations) > 1


class _ContextData:
    """`datasets.loader` with the context of each episode, for the training."""

    load = staticmethod(loader.load)
    manifest = staticmethod(loader.manifest)
    windows = staticmethod(functools.partial(loader.windows, context=True))
    statistics = staticmethod(functools.partial(loader.statistics, context=True))


def read_settings(dataset: str) -> schema.Settings:
    """Returns how a data set was collected.

    Raises:
      ValueError: there is none, its manifest does not say, or a task is no stack.
    """
    loader.load(dataset)
    told = loader.manifest(dataset).get("settings")
    if not isinstance(told, dict):
        raise ValueError(f"data set {dataset} lacks the settings in its manifest.json")
    try:
        settings = schema.Settings(**told)
    except TypeError as e:
        raise ValueError(f"data set {dataset} has other settings: {e}") from e
    for combination in settings.combinations:
        recipes.context(combination)
    return settings


def train(
    dataset: str, settings: schema.Settings, config: BcConfig, steps: int, workdir: str
) -> skill_training.SkillTraining:
    """Returns the training, not yet run; raises ValueError for what does not fit."""
    names = dict(observations.GROUPS)
    if _has_context(settings):
        names["objects"] = (*names["objects"], "context")
    return skill_training.SkillTraining(
        "bc",
        config,
        skill_training.TrainingOptions(steps=steps, evaluate_every=_EVALUATE_EVERY),
        _ContextData() if _has_context(settings) else loader,
        dataset,
        workdir,
        observation_names=names,
    )


def evaluate(
    bundle: str,
    settings: schema.Settings,
    episodes: int,
    seed: int,
    sampled: bool,
    processes: int,
) -> list[Outcome]:
    """Runs the clone's episodes; returns their outcomes by index."""
    jobs = [
        # 31 bits: apart from the data set's, which have 63.
        Job(
            bundle, settings, i, experiment.derive_seed(seed, "clonability", i), sampled
        )
        for i in range(episodes)
    ]
    with Workers(min(processes, episodes)) as workers:
        outcomes = list(workers.run(run_episode, jobs, "clone"))
    return sorted(outcomes, key=lambda o: o.index)


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Success with its 95 % Wilson interval, mean return, counts of furthest stages."""
    successes = sum(o.success for o in outcomes)
    low, high = evaluation.wilson_interval(successes, len(outcomes))
    returns = [o.episode_return for o in outcomes]
    counts = np.bincount([o.stage for o in outcomes], minlength=len(STAGES))
    return {
        "success": successes / len(outcomes),
        "low": low,
        "high": high,
        "return": float(np.mean(returns)),
        "return_interval": evaluation.mean_interval(returns),
        "episodes": len(outcomes),
        "stages": dict(zip(STAGES, counts.tolist(), strict=True)),
    }


def by_combination(
    outcomes: Sequence[Outcome], settings: schema.Settings
) -> list[dict[str, Any]]:
    """Returns the summary of each task and object set that has an episode."""
    groups = collections.defaultdict(list)
    for outcome in outcomes:
        groups[settings.combination(outcome.index)].append(outcome)
    return [
        {"task": task, "object_set": object_set, **summary(group)}
        for (task, object_set), group in groups.items()
    ]


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    head = ("task", "object set", "episodes", "success", "return", *STAGES)
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
    return dataset_report.table(head, cells)


def main(argv: list[str]) -> None:
    """Trains, evaluates and prints."""
    del argv
    with contextlib.ExitStack() as stack:
        with command.bad_input():
            if _DATASET.value is None:
                raise ValueError("--dataset is missing: the directory of a data set")
            settings = read_settings(_DATASET.value)
            config = BcConfig(
                batch_size=_BATCH_SIZE.value,
                learning_rate=_LEARNING_RATE.value,
                seed=_SEED.value,
            )
            workdir = _WORKDIR.value or stack.enter_context(
                tempfile.TemporaryDirectory()
            )
            training = train(_DATASET.value, settings, config, _STEPS.value, workdir)
        trained = training.run()
        outcomes = evaluate(
            str(pathlib.Path(workdir) / "skills"),
            settings,
            _EPISODES.value,
            _SEED.value,
            _SAMPLED.value,
            _PROCESSES.value or len(os.sched_getaffinity(0)),
        )
    result, groups = summary(outcomes), by_combination(outcomes, settings)
    total = [{"task": "all", "object_set": "", **result}]
    print("\n".join(_table(groups + total if len(groups) > 1 else groups)))
    result |= {
        "steps": trained["steps"],
        "best_step": trained["best_step"],
        "sampled": _SAMPLED.value,
        "combinations": groups,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    command.run(main)
