"""Policy of HeLMS-cat: one skill per decision, decoded at every step.

Shape letters: M environments, K skills, D action, P proprioception, O objects; [...]
any leading dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import tensorflow as tf
from typing_extensions import override

from agents.builder import Decision, Held, Policy, hold
from agents.distributions import categorical
from agents.mpo import networks as mpo_networks
from agents.mpo.representation import Statistics


class SkillDecoder(Protocol):
    """Part of a skill bundle that HeLMS-cat needs (`agents.helms.frozen.Skills`)."""

    num_skills: int
    action_dim: int
    proprio_dim: int
    object_dim: int

    def observation_statistics(self) -> Statistics:
        """Returns mean and standard deviation of "proprio" [P] and "objects" [O]."""

    def decode(
        self,
        skill: tf.Tensor,
        observation: Mapping[str, tf.Tensor],
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns actions [..., D] in [-1, 1] of skills [...]; None takes z's mean."""


class SkillPolicy(Policy):
    """Policy that draws y ~ pi(y|x) and decodes it: z ~ q(z|y, x), then the action."""

    def __init__(
        self,
        high_level: mpo_networks.CategoricalPolicy,
        skills: SkillDecoder,
        greedy: bool = False,
        sample_latent: bool = True,
        skill_steps: int = 1,
    ):
        """Joins the levels.

        Args:
          high_level: high level, with its variables made.
          skills: frozen levels.
          greedy: whether to take the likeliest skill in place of a draw.
          sample_latent: whether to draw z; False takes its mean.
          skill_steps: control steps that a skill is held.
        """
        super().__init__(name="skill_policy")
        self._high_level = high_level
        self._skills = skills
        self._greedy = greedy
        self._sample_latent = sample_latent
        self.skill_steps = skill_steps

    @override
    def __call__(
        self,
        observation: Mapping[str, tf.Tensor],
        seed: tf.Tensor,
        held: Held | None = None,
    ) -> Decision:
        logits = self._high_level(observation)  # [M, K]
        skill_seed, latent_seed = tf.unstack(
            tf.random.experimental.stateless_split(seed, 2)
        )
        if self._greedy:
            skill = tf.argmax(logits, axis=-1)
        else:
            skill = categorical.sample(logits, 1, skill_seed)[0]
        skill = hold(tf.cast(skill, tf.int32), held)
        action = self._skills.decode(
            skill, observation, seed=latent_seed if self._sample_latent else None
        )
        return Decision(skill, action)

    @property
    def learned_variables(self) -> list[tf.Variable]:
        """Variables of the high level; the skills stay frozen."""
        return list(self._high_level.variables)
