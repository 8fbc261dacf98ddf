"""This project's agents on small control tasks, for `control` and `launches`.

The module defines no flags, so processes of a program can import it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, cast

import dm_env
import numpy as np
import tensorflow as tf
from acme import specs, wrappers
from dm_control import suite

from agents.helms.config import HelmsConfig
from agents.helms.frozen import Skills
from agents.helms_cat.builder import HelmsCatBuilder
from agents.helms_cat.config import HelmsCatConfig
from agents.helms_mix.builder import HelmsMixBuilder
from agents.helms_mix.config import HelmsMixConfig
from agents.mpo.builder import MPOBuilder
from agents.mpo.config import GaussianMPOConfig
from agents.mpo.gaussian import GaussianMPOBuilder
from agents.mpo.networks import MPONetworks
from benchmarks import catch, two_modes

AGENTS = ("ours", "categorical", "mixture")
MIN_TRANSITIONS = 1000  # before the first learner step
STEPS_A_LEARNER_STEP = 8  # 256 / 32 samples per insert

_COMMON: dict[str, Any] = {
    "policy_keys": ("proprio",),
    "critic_keys": ("proprio",),
    "input_size": 256,
    "policy_hidden_sizes": (256, 256),
    "critic_hidden_sizes": (256, 256),
    "critic_rnn_size": 0,
    "learning_rate": 1e-4,
    "sequence_length": 10,
    "sequence_period": 9,
    "batch_size": 29,  # sequences of 9 transitions: 261
    "min_replay_size": MIN_TRANSITIONS // 9,
    "samples_per_insert": 29 * 9 / STEPS_A_LEARNER_STEP,
}
# For every agent on the small tasks, which would take hours at Acme's bounds.
TASKS: Mapping[str, Callable[[int], dm_env.Environment]] = {
    "catch": catch.Catch,
    "two_modes": lambda seed: two_modes.TwoModes(),
}
_QUICK: dict[str, Any] = {
    "learning_rate": 1e-3,
    "target_policy_update_period": 25,
    "target_critic_update_period": 25,
    "variable_update_period": 16,  # for actors in processes of their own
}
_QUICK_BOUNDS: dict[str, Any] = {
    "epsilon_mean": 0.1,
    "epsilon_stddev": 0.01,
    "init_log_temperature": 0.0,
    "init_log_alpha_mean": 1.0,
    "init_log_alpha_stddev": 1.0,
}


class Grouped(wrappers.EnvironmentWrapper):
    """Wrapper that names a single vector of observations `proprio`."""

    def observation_spec(self) -> dict[str, specs.Array]:
        """Returns the spec of the observation by its name."""
        return {"proprio": self._environment.observation_spec()}

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        return self._named(self._environment.reset())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Takes a step."""
        return self._named(self._environment.step(action))

    def _named(self, timestep: dm_env.TimeStep) -> dm_env.TimeStep:
        return timestep._replace(observation={"proprio": timestep.observation})


class _Actions:
    """Actions in place of skills: a skill is an action point, or z is the action."""

    object_dim = None  # no objects

    def __init__(self, spec: specs.EnvironmentSpec, num_components: int | None = None):
        """Makes a skill per point, or `num_components` for a mixture."""
        size = spec.actions.shape[0]
        points = [*itertools.product((-1.0, 1.0), repeat=size), (0.0,) * size]
        self._points = tf.constant(points, tf.float32)
        self.num_skills = num_components or len(points)
        self.action_dim = self.latent_dim = size
        self.proprio_dim = spec.observations["proprio"].shape[0]
        self.config = HelmsConfig(num_skills=self.num_skills, latent_dim=size)

    def observation_statistics(self) -> dict:
        return {}

    def decode(
        self, skill: tf.Tensor, observation: Mapping, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        del observation, seed
        return tf.gather(self._points, skill)

    def low_level(self, latent: tf.Tensor, observation: Mapping) -> tf.Tensor:
        del observation
        return latent


class _Mixture(HelmsMixBuilder):
    """RHPO on the actions themselves, without a prior."""

    def make_networks(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> MPONetworks:
        networks = super().make_networks(environment_spec, seed)
        networks.prior = None
        return networks


def make_environment(task: str, seed: int) -> dm_env.Environment:
    """Makes a task with one observation vector and actions clipped to [-1, 1].

    Raises:
      ValueError: there is no such task.
    """
    if task in TASKS:
        environment = wrappers.CanonicalSpecWrapper(TASKS[task](seed), clip=True)
        return wrappers.SinglePrecisionWrapper(environment)
    domain, _, name = task.partition(":")
    if (domain, name) not in suite.ALL_TASKS:
        raise ValueError(
            f"unknown task {task!r}; valid: {', '.join(TASKS)}, or as cartpole:swingup"
        )
    environment = suite.load(domain, name, task_kwargs={"random": seed})
    environment = wrappers.ConcatObservationWrapper(environment)
    environment = wrappers.CanonicalSpecWrapper(environment, clip=True)
    return wrappers.SinglePrecisionWrapper(environment)


def make_grouped(task: str, seed: int) -> dm_env.Environment:
    """Makes a task with a named observation, as this project's agents take it."""
    return Grouped(make_environment(task, seed))


def make_builder(agent: str, task: str, spec: specs.EnvironmentSpec) -> MPOBuilder:
    """Makes the builder of an agent of this project, which learns from scratch.

    Args:
      agent: `ours`, the Gaussian MPO; `categorical`, HeLMS-cat's over the corners and
        the centre of the action space; `mixture`, HeLMS-mix's over three new
        components.
      task: name of a task, as in `make_environment`.
      spec: spec of its grouped environment.
    """
    quick = task in TASKS
    common = {**_COMMON, **(_QUICK if quick else {})}
    sampled = {**common, **(_QUICK_BOUNDS if quick else {})}
    if agent == "ours":
        return GaussianMPOBuilder(GaussianMPOConfig(**sampled))
    if agent == "categorical":
        return HelmsCatBuilder(
            HelmsCatConfig(**common, eta_y=0.0), cast(Skills, _Actions(spec))
        )
    config = HelmsMixConfig(**sampled, components="scratch", eta_y=0.0, eta_z=0.0)
    return _Mixture(config, cast(Skills, _Actions(spec, num_components=3)))
