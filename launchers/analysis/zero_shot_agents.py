"""Agents as they act at the start of RL, before they learn.

A frozen low level acts by its mean; a policy over actions (BC's or a fresh one) acts
with the noise that RL gives it. Networks that RL would train from scratch are drawn
anew for each episode.

Shape letters: D action, K skills, Z latent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sonnet as snt
import tensorflow as tf
from acme import specs

from agents.helms.frozen import Skills
from agents.helms_cat.builder import HelmsCatBuilder
from agents.helms_cat.config import HelmsCatConfig
from agents.high_level import distillation
from agents.mpo import networks as mpo_networks
from agents.mpo.config import GaussianMPOConfig
from agents.mpo.gaussian import GaussianMPOBuilder
from agents.npmp.frozen import NpmpSkills
from agents.offline.frozen import FrozenModel, FrozenPolicy, Sizes

# "proprio" [1, P], "objects" [1, O]; where episodes have several tasks "context" [1, C]
Observation = Mapping[str, tf.Tensor]

FRESH = "mpo"
PRIOR = "helms_prior"  # uses the bundle of helms too
# Titles of the agents, in the order of the table.
TITLES: Mapping[str, str] = {
    "helms": "HeLMS, fresh high level",
    PRIOR: "HeLMS, its transition prior",
    "npmp": "NPMP, its prior",
    "bc": "BC",
    "hierarchical_bc": "Hierarchical BC",
    FRESH: "MPO, fresh",
}
# HeLMS with its high level distilled from the posterior: the most likely or a drawn
# skill, and the mean or a drawn z.
DISTILLED: Mapping[str, str] = {
    "distilled_greedy": "likeliest skill, z's mean",
    "distilled_sampled": "drawn skill, z's mean",
    "distilled_greedy_drawn": "likeliest skill, drawn z",
    "distilled_sampled_drawn": "drawn skill, drawn z",
}
# Agents whose skills can be held for several steps.
HOLDING = ("helms", *DISTILLED)
_HELD = "_held_"
_SINGLE = "skill_"


def single(skill: int) -> str:
    """Names the agent that follows one skill of HeLMS for a whole episode."""
    return f"{_SINGLE}{skill}"


def name(model: str, skill_steps: int) -> str:
    """Names an agent in files: its model, and `skill_steps` where it is not 1."""
    return model if skill_steps == 1 else f"{model}{_HELD}{skill_steps}"


def title(name: str) -> str:
    """Names an agent in tables, from its name in files."""
    if name.startswith(_SINGLE):
        return f"HeLMS, skill {name.removeprefix(_SINGLE)} alone"
    model, _, steps = name.partition(_HELD)
    held = f", skills held {steps} steps" if steps else ""
    return {**TITLES, **DISTILLED}[model] + held


@dataclasses.dataclass(frozen=True)
class ZeroShotAgent:
    """An agent at the start of RL.

    Pure but for variables; seeds are int32 [2].

    Attributes:
      begin: maps an episode's seed to the initial latent [1, ...], a skill or z; draws
        the fresh networks.
      choose: maps an observation, the last latent and a seed to the next latent.
      act: maps an observation, the latent and a seed to the unclipped action [1, D].
    """

    begin: Callable[[int], tf.Tensor]
    choose: Callable[[Observation, tf.Tensor, tf.Tensor], tf.Tensor]
    act: Callable[[Observation, tf.Tensor, tf.Tensor], tf.Tensor]


class Actor:
    """Runner of an agent in an environment, which holds each latent for some steps.

    Attributes:
      object_order: order of the objects that it observes in the cell.
    """

    def __init__(
        self, agent: ZeroShotAgent, skill_steps: int = 1, object_order: str = "color"
    ) -> None:
        """Sets `skill_steps`, the control steps between two choices of a latent."""
        self.object_order = object_order
        self._begin = agent.begin
        self._choose = tf.function(agent.choose, autograph=False)
        self._act = tf.function(agent.act, autograph=False)
        self._skill_steps = skill_steps
        self._latent = tf.zeros([1, 0])
        self._seed, self._step = 0, 0

    def begin(self, seed: int) -> None:
        """Starts an episode; every draw in it comes from `seed`."""
        self._latent = self._begin(seed)
        self._seed, self._step = seed, 0

    def act(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the action [D] in [-1, 1] for an `Observation` without batch axis."""
        batch = {key: tf.constant(value[None]) for key, value in observation.items()}
        seeds = tf.random.experimental.stateless_split([self._seed, self._step], 2)
        if self._step % self._skill_steps == 0:
            self._latent = self._choose(batch, self._latent, seeds[0])
        action = self._act(batch, self._latent, seeds[1])
        self._step += 1
        return np.clip(action[0].numpy(), -1.0, 1.0)


def make(model: str, bundle: Any) -> ZeroShotAgent:
    """Makes the agent of a model.

    Args:
      model: one of `TITLES` or `DISTILLED`, or the name of a `single` skill.
      bundle: the frozen model; for `FRESH` any, of which only the observation
        statistics are used.
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
    if model.startswith(_SINGLE):
        return _single(bundle, int(model.removeprefix(_SINGLE)))
    return makers[model](bundle)


def _distilled(skills: Skills, greedy: bool, sample_latent: bool) -> ZeroShotAgent:
    """Makes an agent of the bundle's distilled high level."""
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


def _spec(frozen: Sizes) -> specs.EnvironmentSpec:
    """Returns the spec of the environments that a frozen model fits."""
    sizes = {"proprio": frozen.proprio_dim, "objects": frozen.object_dim}
    return specs.EnvironmentSpec(
        observations={k: specs.Array((n,), np.float32, k) for k, n in sizes.items()},
        actions=specs.BoundedArray((frozen.action_dim,), np.float32, -1.0, 1.0),
        rewards=specs.Array((), np.float32),
        discounts=specs.BoundedArray((), np.float64, 0.0, 1.0),
    )


def _single(skills: Skills, skill: int) -> ZeroShotAgent:
    """Makes an agent that follows one skill, with z of its mid level."""

    def begin(seed: int) -> tf.Tensor:
        del seed
        return tf.constant([skill])

    def act(observation: Observation, skill: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return skills.decode(skill, observation, seed)

    return ZeroShotAgent(begin, _keep, act)


def _helms(skills: Skills) -> ZeroShotAgent:
    """Makes HeLMS-cat's agent: a fresh high level, and z of the mid level."""
    # The critic is unused, so it is tiny; its weights are drawn after the policy's.
    config = HelmsCatConfig(critic_hidden_sizes=(1,), critic_rnn_size=0)
    builder = HelmsCatBuilder(config, skills)

    def fresh(seed: int) -> snt.Module:
        return builder.make_networks(_spec(skills), seed).policy

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
    """Makes an agent whose skills follow p(y_t | y_{t-1}), with a uniform p(y_0).

    NPMP's z follows its prior likewise. The fresh high level changes the skill at
    nearly every step; this agent shows skills that last as long as in the data.
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
    """Makes an agent whose z follows the prior; RL's new policy stays near N(0, I)."""

    def begin(seed: int) -> tf.Tensor:
        # Draws from the stationary distribution, as step -1 of the episode.
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
    """Makes an agent of a clone with its noise; hierarchical BC uses z's mean."""

    def act(observation: Observation, latent: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        del latent
        return policy.sample(observation, seed)

    return ZeroShotAgent(_no_skill, _keep, act)


def _fresh_mpo(bundle: FrozenModel) -> ZeroShotAgent:
    """Makes an agent of the policy that MPO from scratch starts with."""
    config = GaussianMPOConfig(critic_hidden_sizes=(1,), critic_rnn_size=0)
    builder = GaussianMPOBuilder(config, bundle.observation_statistics())

    def fresh(seed: int) -> snt.Module:
        return builder.make_networks(_spec(bundle), seed).policy

    policy = fresh(0)

    def begin(seed: int) -> tf.Tensor:
        mpo_networks.copy_variables(fresh(seed), policy)
        return _no_skill(seed)

    def act(observation: Observation, latent: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        del latent
        return policy(observation).sample(1, seed)[0]

    return ZeroShotAgent(begin, _keep, act)


def _no_skill(seed: int) -> tf.Tensor:
    """Returns a placeholder: the first skill depends on no earlier one."""
    del seed
    return tf.zeros([1], tf.int32)


def _keep(observation: Observation, latent: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Keeps the latent, for agents that choose none."""
    del observation, seed
    return latent


def _draw(logits: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws int32 [1] from logits [1, K]."""
    return tf.random.stateless_categorical(logits, 1, seed, tf.int32)[:, 0]
