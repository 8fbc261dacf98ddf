"""Parts of `benchmarks.clonability`: a clone's training, episodes and outcomes."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

import environments
from agents import registry
from agents.bc.config import BcConfig
from agents.offline.frozen import Observation
from datasets import loader
from datasets.rlds import recipes, schema
from datasets.rlds.columns import BY_ROLE
from environments import observations, rewards, tasks
from environments.stacking import RgbStacking
from launchers.common import intervals
from launchers.common.workers import Workers
from launchers.experiments import config as experiment_config
from launchers.skills import training

# Stages of a stack; the first of `tasks.Task.stages` is split into reach and grasp.
STAGES = ("none", "reach", "grasp", "lift", "hover", "stack", "leave")
_EVALUATE_EVERY = 500  # learner steps


@dataclasses.dataclass(frozen=True)
class Job:
    """Settings of one episode of the clone; picklable.

    Attributes:
      bundle: directory of the clone.
      settings: settings of the data set.
      index: index of the episode, which decides its task and object set.
      seed: seed of the environment and of the draws of actions.
      sampled: whether actions are drawn.
    """

    bundle: str
    settings: schema.Settings
    index: int
    seed: int
    sampled: bool


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Outcome of an episode; `stage` is the index in `STAGES` of the furthest stage."""

    index: int
    success: bool
    episode_return: float
    stage: int


def furthest_stage(task: tasks.Task, state: rewards.State) -> int:
    """Returns the index in `STAGES` of the furthest stage that a state has reached."""
    assert task.pair is not None, "a stack of two"
    values = [rewards.reach(state, task.pair[0]), *task.stages(state)]
    reached = np.flatnonzero(rewards.sparsify(values))
    return int(reached[-1]) + 1 if reached.size else 0


def run_episode(job: Job) -> Outcome:
    """Runs a job; caches the environment and compiled clone in the process."""
    environment, act = _runner(job.bundle, job.settings)
    combination = task, object_set = job.settings.combination(job.index)
    environment.seed_episode(job.seed)
    environment.set_task(task)
    environment.set_objects(object_set)
    context = recipes.context(combination)
    timestep, episode_return, stage = environment.reset(), 0.0, 0
    for step in itertools.count():
        if timestep.last():
            break
        observation = dict(timestep.observation)
        if _has_context(job.settings):
            observation["objects"] = np.append(observation["objects"], context)
        seed = tf.constant([job.seed, step], tf.int32)
        action = act(observation, seed, tf.constant(job.sampled))
        timestep = environment.step(action.numpy())
        episode_return += float(timestep.reward)
        stage = max(stage, furthest_stage(environment.task, environment.state()))
    return Outcome(job.index, environment.success(), episode_return, stage)


@functools.lru_cache(maxsize=1)
def _runner(
    bundle: str, settings: schema.Settings
) -> tuple[RgbStacking, Callable[..., tf.Tensor]]:
    clone = registry.load_bundle(bundle, model="bc")
    observed = dataclasses.replace(
        settings.environment,
        reward="staged_sparse",
        grouped=True,
        object_order="role" if _has_context(settings) else "color",
    )
    environment = environments.build(observed, seed=0)

    @tf.function
    def act(observation: Observation, seed: tf.Tensor, sampled: bool) -> tf.Tensor:
        if sampled:
            return clone.sample(observation, seed)
        return clone.mean(observation)

    return environment, act


def _has_context(settings: schema.Settings) -> bool:
    return len(settings.combinations) > 1


class _ContextSource(loader.Source):
    """Source of data with each episode's context and its objects by role.

    By colour a clone of all pairs would have to learn which object's pose counts.
    """

    def __init__(self) -> None:
        super().__init__(BY_ROLE)
        self.windows = functools.partial(self.windows, context=True)
        self.statistics = functools.partial(self.statistics, context=True)


def read_settings(dataset: str) -> schema.Settings:
    """Reads the settings with which a data set was collected.

    Raises:
      ValueError: there is no data set, its manifest lacks them, or a task is no stack.
    """
    loader.load(dataset)
    recorded = loader.manifest(dataset).get("settings")
    if not isinstance(recorded, dict):
        raise ValueError(f"data set {dataset} lacks the settings in its manifest.json")
    try:
        settings = schema.Settings.from_dict(recorded)
    except ValueError as e:
        raise ValueError(f"data set {dataset} has other settings: {e}") from e
    for combination in settings.combinations:
        recipes.context(combination)
    return settings


def train(
    dataset: str, settings: schema.Settings, config: BcConfig, steps: int, workdir: str
) -> training.SkillTraining:
    """Prepares the training, to be run; raises ValueError if the data do not fit."""
    names = dict(observations.GROUPS)
    if _has_context(settings):
        names["objects"] = (*observations.OBJECTS_BY_ROLE, "context")
    return training.SkillTraining(
        "bc",
        config,
        training.TrainingOptions(steps=steps, evaluate_every=_EVALUATE_EVERY),
        _ContextSource() if _has_context(settings) else loader,
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
        # 31 bits, unlike the data set's seeds, which have 63.
        Job(
            bundle,
            settings,
            i,
            experiment_config.derive_seed(seed, "clonability", i),
            sampled,
        )
        for i in range(episodes)
    ]
    with Workers(min(processes, episodes)) as workers:
        outcomes = list(workers.run(run_episode, jobs, "clone"))
    return sorted(outcomes, key=lambda o: o.index)


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Returns success with its 95 % Wilson interval, mean return, counts of stages."""
    successes = sum(o.success for o in outcomes)
    low, high = intervals.wilson(successes, len(outcomes))
    returns = [o.episode_return for o in outcomes]
    counts = np.bincount([o.stage for o in outcomes], minlength=len(STAGES))
    return {
        "success": successes / len(outcomes),
        "low": low,
        "high": high,
        "return": float(np.mean(returns)),
        "return_interval": intervals.normal_half_width(returns),
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
