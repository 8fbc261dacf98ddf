"""How each agent acts at the start of RL, before it has learned anything there.

Agents act as RL begins: a low level that stays frozen by its mean, a policy over
actions (BC's, a fresh one) with the noise that RL gives it. Networks that RL would
start from scratch are drawn anew for each episode.

Shape letters: D action, K skills, Z latent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sonnet as snt
import tensorflow as tf

from agents.helms.frozen import Skills
from agents.helms_cat.builder import HelmsCatBuilder
from agents.helms_cat.config import HelmsCatConfig
from agents.high_level import distillation
from agents.mpo import networks as mpo_networks
from agents.mpo.config import GaussianMPOConfig
from agents.mpo.gaussian import GaussianMPOBuilder
from agents.npmp.frozen import NpmpSkills
from agents.offline.frozen import FrozenModel, FrozenPolicy
from environments import wrappers

# "proprio" [1, P], "objects" [1, O]; where episodes have several tasks "context" [1, C]
Observation = Mapping[str, tf.Tensor]

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
# HeLMS with its high level distilled from the posterior: the likeliest skill or a draw,
# and z's mean or a draw.
DISTILLED: Mapping[str, str] = {
    "distilled_greedy": "likeliest skill, z's mean",
    "distilled_sampled": "drawn skill, z's mean",
    "distilled_greedy_drawn": "likeliest skill, drawn z",
    "distilled_sampled_drawn": "drawn skill, drawn z",
}
# Agents whose skills can be held for several steps.
HOLDING = ("helms", *DISTILLED)
_HELD = "_held_"


def name(model: str, skill_steps: int) -> str:
    """Names an agent in files: its model, and `skill_steps` where it is not 1."""
    return model if skill_steps == 1 else f"{model}{_HELD}{skill_steps}"


def title(name: str) -> str:
    """Names an agent in tables, from its name in files."""
    model, _, steps = name.partition(_HELD)
    held = f", skills held {steps} steps" if steps else ""
    return {**TITLES, **DISTILLED}[model] + held


@dataclasses.dataclass(frozen=True)
class ZeroShotAgent:
    """An agent at the start of RL.

    Pure but for variables; seeds are int32 [2].

    Attributes:
      begin: of an episode's seed: draws what is fresh; returns the latent before the
        first [1, ...], a skill or z.
      choose: of an observation, the last latent and a seed: the next latent.
      act: of an observation, the latent and a seed: the action [1, D], to be clipped.
    """

    begin: Callable[[int], tf.Tensor]
    choose: Callable[[Observation, tf.Tensor, tf.Tensor], tf.Tensor]
    act: Callable[[Observation, tf.Tensor, tf.Tensor], tf.Tensor]


class Actor:
    """Runs an agent in an environment; holds its latent for some steps."""

    def __init__(self, agent: ZeroShotAgent, skill_steps: int = 1) -> None:
        """`skill_steps` are the control steps between two choices of a latent."""
        self._begin = agent.begin
        self._choose = tf.function(agent.choose)
        self._act = tf.function(agent.act)
        self._skill_steps = skill_steps
        self._latent = tf.zeros([1, 0])
        self._seed, self._step = 0, 0

    def begin(self, seed: int) -> None:
        """Starts an episode, whose every draw comes from `seed`."""
        self._latent = self._begin(seed)
        self._seed, self._step = seed, 0

    def act(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """The action [D] in [-1, 1] for an `Observation` without its 1."""
        batch = {key: tf.constant(value[None]) for key, value in observation.items()}
        seeds = tf.random.experimental.stateless_split([self._seed, self._step], 2)
        if self._step % self._skill_steps == 0:
            self._latent = self._choose(batch, self._latent, seeds[0])
        action = self._act(batch, self._latent, seeds[1])
        self._step += 1
        return np.clip(action[0].numpy(), -1.0, 1.0)


def make(model: str, bundle: Any) -> ZeroShotAgent:
    """The agent of a model.

    Args:
      model: one of `TITLES` or `DISTILLED`.
      bundle: the frozen model; for `FRESH` any, for its observation statistics.
    """
    makers = {
        "helms": _helms,
        PRIOR: _helms_prior,
        "npmp": _npmp,
        "bc": _clone,
        "hierarchical_bc": _clone,
        FRESH: _fresh_mpo,
    }
    if model in DISTILLED:
        greedy, drawn = "_greedy" in model, model.endswith("_drawn")
        return _distilled(bundle, greedy, sample_latent=drawn)
    return makers[model](bundle)


def _distilled(skills: Skills, greedy: bool, sample_latent: bool) -> ZeroShotAgent:
    """The distilled high level of the bundle."""
    high_level = distillation.load(skills)

    def choose(
        observation: Observation, skill: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        del skill
        logits = high_level(observation)
        if greedy:
            return tf.argmax(logits, axis=-1, output_type=tf.int32)
        return _draw(logits, seed)

    def act(observation: Observation, skill: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return skills.decode(skill, observation, seed if sample_latent else None)

    return ZeroShotAgent(_no_skill, choose, act)


def _helms(skills: Skills) -> ZeroShotAgent:
    """HeLMS-cat's new high level, the mid level's z."""
    # The smallest critic: it is not used, and the policy's weights are drawn before it.
    config = HelmsCatConfig(critic_hidden_sizes=(1,), critic_rnn_size=0)
    builder = HelmsCatBuilder(config, skills)

    def fresh(seed: int) -> snt.Module:
        return builder.make_networks(_SPEC, seed).policy

    high_level = fresh(0)

    def begin(seed: int) -> tf.Tensor:
        mpo_networks.copy_variables(fresh(seed), high_level)
        return _no_skill(seed)

    def choose(
        observation: Observation, skill: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        del skill
        return _draw(high_level(observation), seed)

    def act(observation: Observation, skill: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return skills.decode(skill, observation, seed)

    return ZeroShotAgent(begin, choose, act)


def _helms_prior(skills: Skills) -> ZeroShotAgent:
    """Skills follow p(y_t | y_{t-1}), as NPMP's z follows its prior; p(y_0) uniform.

    The fresh high level changes the skill at nearly every step. Beside it, this shows
    what the skills do where they last as long as in the data.
    """

    def begin(seed: int) -> tf.Tensor:
        return tf.random.stateless_uniform(
            [1], [seed, -1], maxval=skills.num_skills, dtype=tf.int32
        )

    def choose(
        observation: Observation, skill: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        del observation
        rows = tf.gather(skills.transition_matrix(), skill)  # [1, K]
        return _draw(tf.math.log(rows), seed)

    def act(observation: Observation, skill: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return skills.decode(skill, observation, seed)

    return ZeroShotAgent(begin, choose, act)


def _npmp(skills: NpmpSkills) -> ZeroShotAgent:
    """z from the prior; RL's new policy is near N(0, I), where this one wanders."""

    def begin(seed: int) -> tf.Tensor:
        # The stationary distribution; step -1 of the episode's draws.
        return tf.random.stateless_normal([1, skills.latent_dim], [seed, -1])

    def choose(
        observation: Observation, latent: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        del observation
        return skills.sample_prior(latent, seed)

    def act(observation: Observation, latent: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        del seed
        return skills.low_level(latent, observation)

    return ZeroShotAgent(begin, choose, act)


def _clone(policy: FrozenPolicy) -> ZeroShotAgent:
    """A behaviour clone with its noise; of hierarchical BC, z's mean."""

    def act(observation: Observation, latent: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        del latent
        return policy.sample(observation, seed)

    return ZeroShotAgent(_no_skill, _keep, act)


def _fresh_mpo(bundle: FrozenModel) -> ZeroShotAgent:
    """The policy that MPO from scratch starts with."""
    config = GaussianMPOConfig(critic_hidden_sizes=(1,), critic_rnn_size=0)
    builder = GaussianMPOBuilder(config, bundle.observation_statistics())

    def fresh(seed: int) -> snt.Module:
        return builder.make_networks(_SPEC, seed).policy

    policy = fresh(0)

    def begin(seed: int) -> tf.Tensor:
        mpo_networks.copy_variables(fresh(seed), policy)
        return _no_skill(seed)

    def act(observation: Observation, latent: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        del latent
        return policy(observation).sample(1, seed)[0]

    return ZeroShotAgent(begin, _keep, act)


def _no_skill(seed: int) -> tf.Tensor:
    """What comes before the first skill, which does not depend on it."""
    del seed
    return tf.zeros([1], tf.int32)


def _keep(observation: Observation, latent: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """The choice of agents that have no latent."""
    del observation, seed
    return latent


def _draw(logits: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws int32 [1] of logits [1, K]."""
    return tf.random.stateless_categorical(logits, 1, seed, tf.int32)[:, 0]
