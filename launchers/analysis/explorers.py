"""How each agent acts at the start of RL, before it has learned anything there.

Actions are drawn with the noise that RL would act with. Networks that RL would start
from scratch are drawn anew for each episode. Shape letters: D action, Z latent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import sonnet as snt
import tensorflow as tf

from agents.helms_cat.builder import HelmsCatBuilder
from agents.helms_cat.config import HelmsCatConfig
from agents.mpo import networks as mpo_networks
from agents.mpo.config import GaussianMPOConfig
from agents.mpo.gaussian import GaussianMPOBuilder
from environments import wrappers

Observation = Mapping[str, tf.Tensor]  # "proprio" [1, P], "objects" [1, O]

_SPEC = wrappers.environment_spec()

FRESH = "mpo"
PRIOR = "helms_prior"  # acts through the bundle of helms too
# In the order of the table.
TITLES: Mapping[str, str] = {
    "helms": "HeLMS, fresh high level",
    PRIOR: "HeLMS, its transition prior",
    "npmp": "NPMP, its prior",
    "bc": "BC",
    "hierarchical_bc": "Hierarchical BC",
    FRESH: "MPO, fresh",
}


@dataclasses.dataclass(frozen=True)
class Explorer:
    """An agent at the start of RL.

    Attributes:
      begin: of an episode's seed: draws what is fresh; returns the first latent [1, Z].
      decide: of an observation, the last latent [1, Z] and a seed int32 [2]: the
        action [1, D], to be clipped, and the next latent. Pure but for variables.
    """

    begin: Callable[[int], tf.Tensor]
    decide: Callable[[Observation, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class Actor:
    """Runs an explorer in an environment, one compiled call a step."""

    def __init__(self, explorer: Explorer) -> None:
        self._begin = explorer.begin
        self._decide = tf.function(explorer.decide)
        self._latent = tf.zeros([1, 0])
        self._seed, self._step = 0, 0

    def begin(self, seed: int) -> None:
        """Starts an episode, whose every draw comes from `seed`."""
        self._latent = self._begin(seed)
        self._seed, self._step = seed, 0

    def act(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """The action [D] in [-1, 1] for grouped observations [P], [O]."""
        action, self._latent = self._decide(
            {key: tf.constant(value[None]) for key, value in observation.items()},
            self._latent,
            tf.constant([self._seed, self._step], tf.int32),
        )
        self._step += 1
        return np.clip(action[0].numpy(), -1.0, 1.0)


def make(model: str, bundle) -> Explorer:
    """The explorer of a model.

    Args:
      model: one of `TITLES`.
      bundle: the frozen model; for `FRESH` any, for its observation statistics.
    """
    makers = {
        "helms": _helms,
        PRIOR: _helms_prior,
        "npmp": _npmp,
        "bc": _bc,
        "hierarchical_bc": _hierarchical_bc,
        FRESH: _fresh_mpo,
    }
    return makers[model](bundle)


def _helms(skills) -> Explorer:
    """HeLMS-cat's new high level, the mid level's z, the low level's noise."""
    # The smallest critic: it is not used, and the policy's weights are drawn before it.
    config = HelmsCatConfig(critic_hidden_sizes=(1,), critic_rnn_size=0)
    builder = HelmsCatBuilder(config, skills)

    def fresh(seed: int) -> snt.Module:
        return builder.make_networks(_SPEC, seed).policy

    high_level = fresh(0)

    def begin(seed: int) -> tf.Tensor:
        mpo_networks.copy_variables(fresh(seed), high_level)
        return tf.zeros([1, 0])

    def decide(observation, latent, seed):
        seeds = tf.random.experimental.stateless_split(seed, 2)
        skill = tf.random.stateless_categorical(
            high_level(observation), 1, seeds[0], tf.int32
        )[:, 0]
        action = skills.decode(skill, observation, seed=seeds[1], action_noise=True)
        return action, latent

    return Explorer(begin, decide)


def _helms_prior(skills) -> Explorer:
    """Skills follow p(y_t | y_{t-1}), as NPMP's z follows its prior; p(y_0) uniform.

    The fresh high level changes the skill at nearly every step. Beside it, this shows
    what the skills do where they last as long as in the data.
    """

    def begin(seed: int) -> tf.Tensor:
        drawn = tf.random.stateless_uniform(
            [1], [seed, -1], maxval=skills.num_skills, dtype=tf.int32
        )
        return tf.one_hot(drawn, skills.num_skills)

    def decide(observation, latent, seed):
        seeds = tf.random.experimental.stateless_split(seed, 2)
        logits = tf.math.log(latent @ skills.transition_matrix())
        skill = tf.random.stateless_categorical(logits, 1, seeds[0], tf.int32)[:, 0]
        action = skills.decode(skill, observation, seed=seeds[1], action_noise=True)
        return action, tf.one_hot(skill, skills.num_skills)

    return Explorer(begin, decide)


def _npmp(skills) -> Explorer:
    """z from the prior, the low level's noise."""

    def begin(seed: int) -> tf.Tensor:
        # The stationary distribution; step -1 of the episode's draws.
        return tf.random.stateless_normal([1, skills.latent_dim], [seed, -1])

    def decide(observation, latent, seed):
        seeds = tf.random.experimental.stateless_split(seed, 2)
        next_latent = skills.sample_prior(latent, seeds[0])
        action = skills.low_level(latent, observation)
        return _noisy(action, skills.action_stddev, seeds[1]), next_latent

    return Explorer(begin, decide)


def _bc(policy) -> Explorer:
    """The behaviour clone with its noise."""

    def decide(observation, latent, seed):
        return policy.sample(observation, seed), latent

    return Explorer(lambda seed: tf.zeros([1, 0]), decide)


def _hierarchical_bc(policy) -> Explorer:
    """z from its high level, the low level's noise."""

    def decide(observation, latent, seed):
        seeds = tf.random.experimental.stateless_split(seed, 2)
        mean, stddev = policy.latent(observation)
        drawn = mean + stddev * tf.random.stateless_normal(tf.shape(mean), seeds[0])
        action = policy.low_level(drawn, observation)
        return _noisy(action, policy.action_stddev, seeds[1]), latent

    return Explorer(lambda seed: tf.zeros([1, 0]), decide)


def _fresh_mpo(bundle) -> Explorer:
    """The policy that MPO from scratch starts with."""
    config = GaussianMPOConfig(critic_hidden_sizes=(1,), critic_rnn_size=0)
    builder = GaussianMPOBuilder(config, bundle.observation_statistics())

    def fresh(seed: int) -> snt.Module:
        return builder.make_networks(_SPEC, seed).policy

    policy = fresh(0)

    def begin(seed: int) -> tf.Tensor:
        mpo_networks.copy_variables(fresh(seed), policy)
        return tf.zeros([1, 0])

    def decide(observation, latent, seed):
        return _noisy(*policy(observation), seed), latent

    return Explorer(begin, decide)


def _noisy(mean: tf.Tensor, stddev: tf.Tensor | float, seed: tf.Tensor) -> tf.Tensor:
    return mean + stddev * tf.random.stateless_normal(tf.shape(mean), seed)
