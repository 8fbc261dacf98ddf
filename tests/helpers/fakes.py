"""Small stand-ins for tests: a task that is learned in seconds, and skills for it."""

from __future__ import annotations

import functools
from typing import Any, cast

import dm_env
import numpy as np
import tensorflow as tf
from acme import specs as acme_specs
from dm_env import specs

from agents.helms.frozen import Skills
from agents.helms_cat.builder import HelmsCatBuilder
from agents.helms_cat.config import HelmsCatConfig
from launchers.experiments.config import Budget, Experiment

NUM_SKILLS = 3
EPISODE_STEPS = 8


class MatchingTask(dm_env.Environment):
    """At each step an object shows one of three symbols; the right action is its own.

    An action is an angle in [-1, 1]; skill k's is (-0.8, 0, 0.8)[k]. The right one
    earns 1, any other 0, so a uniform choice earns a third of `EPISODE_STEPS` and the
    best choice all of it. The episode ends by its length, as the real one does
    (discount 1).
    """

    def __init__(self, seed: int):
        self._random = np.random.default_rng(seed)
        self._step = 0
        self._symbol = 0
        self._hits = 0

    def _observation(self) -> dict[str, np.ndarray]:
        objects = np.zeros(NUM_SKILLS, np.float32)
        objects[self._symbol] = 1.0
        proprio = np.array([self._step / EPISODE_STEPS, 1.0], np.float32)
        return {"proprio": proprio, "objects": objects}

    def reset(self) -> dm_env.TimeStep:
        self._step, self._hits = 0, 0
        self._symbol = int(self._random.integers(NUM_SKILLS))
        return dm_env.restart(self._observation())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        hit = int(np.round(action[0] / 0.8)) + 1 == self._symbol
        self._hits += hit
        self._step += 1
        self._symbol = int(self._random.integers(NUM_SKILLS))
        reward = np.float32(hit)
        if self._step == EPISODE_STEPS:
            return dm_env.truncation(reward, self._observation(), np.float32(1.0))
        return dm_env.transition(reward, self._observation(), np.float32(1.0))

    def success(self) -> bool:
        return self._hits >= EPISODE_STEPS - 1

    def observation_spec(self):
        return {
            "proprio": specs.Array((2,), np.float32, name="proprio"),
            "objects": specs.Array((NUM_SKILLS,), np.float32, name="objects"),
        }

    def action_spec(self):
        return specs.BoundedArray((1,), np.float32, -1.0, 1.0, name="action")

    def reward_spec(self):
        return specs.Array((), np.float32, name="reward")

    def discount_spec(self):
        return specs.BoundedArray((), np.float32, 0.0, 1.0, name="discount")


class FakeSkills:
    """Three skills, each one angle, with a little noise where a seed is given."""

    num_skills = NUM_SKILLS
    action_dim = 1
    proprio_dim = 2
    object_dim = NUM_SKILLS

    def observation_statistics(self):
        return {
            "proprio": (np.zeros(2, np.float32), np.ones(2, np.float32)),
            "objects": (
                np.zeros(NUM_SKILLS, np.float32),
                np.ones(NUM_SKILLS, np.float32),
            ),
        }

    def decode(self, skill, observation, seed=None):
        del observation
        angle = tf.gather([-0.8, 0.0, 0.8], skill)[..., None]
        if seed is not None:
            angle += 0.1 * tf.random.stateless_uniform(tf.shape(angle), seed, -1, 1)
        return angle


# The smallest networks an agent is tested with; `SMALL_AGENT` is one that learns.
TINY_NETWORKS: dict[str, Any] = {
    "policy_hidden_sizes": (16,),
    "critic_hidden_sizes": (16,),
    "input_size": 16,
    "critic_rnn_size": 8,
}

# The same with batches that a few episodes fill, and no rate of samples to keep.
TINY_AGENT: dict[str, Any] = {
    **TINY_NETWORKS,
    "batch_size": 8,
    "sequence_length": 5,
    "sequence_period": 4,
    "min_replay_size": 1,
    "samples_per_insert": 0.0,
}

SMALL_AGENT: dict[str, Any] = {
    "policy_hidden_sizes": (32,),
    "critic_hidden_sizes": (32,),
    "input_size": 32,
    "critic_rnn_size": 16,
    "batch_size": 32,
    "learning_rate": 3e-3,
    "discount": 0.5,
    "sequence_length": 5,
    "sequence_period": 4,
    "min_replay_size": 30,
    "samples_per_insert": 16.0,
    "target_policy_update_period": 10,
    "target_critic_update_period": 10,
    "variable_update_period": 16,
    "init_log_temperature": 0.0,
}


def make_builder(config: HelmsCatConfig) -> HelmsCatBuilder:
    """HeLMS-cat over the fake skills."""
    return HelmsCatBuilder(config, cast(Skills, FakeSkills()))


def make_experiment(workdir, seed: int = 0, budget: Budget | None = None, **agent):
    """The matching task as an experiment."""
    config = HelmsCatConfig(**{**SMALL_AGENT, **agent})
    return Experiment(
        workdir=str(workdir),
        builder_factory=functools.partial(make_builder, config),
        environment_factory=MatchingTask,
        environment_spec=acme_specs.make_environment_spec(MatchingTask(seed=0)),
        seed=seed,
        budget=budget or Budget(),
    )
