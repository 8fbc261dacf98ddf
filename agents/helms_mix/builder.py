"""Builder of HeLMS-mix: RHPO whose action is the latent z.

Shape letters: R rows of a batch, K skills, Z latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from acme import specs
from typing_extensions import override

from agents.distributions.policies import Mixture
from agents.helms.frozen import Skills
from agents.helms_mix import networks as mix_networks
from agents.helms_mix.config import HelmsMixConfig
from agents.high_level import distillation
from agents.latent_mpo.builder import LatentMPOBuilder
from agents.mpo.demonstrations import Episode, by_windows
from agents.mpo.networks import CategoricalPolicy, MPONetworks
from agents.mpo.rows import Rows
from agents.rhpo.policy_loss import MixturePolicyLoss


class HelmsMixBuilder(LatentMPOBuilder):
    """Builder of HeLMS-mix over one frozen bundle."""

    _config: HelmsMixConfig
    _skills: Skills

    def __init__(
        self,
        config: HelmsMixConfig,
        skills: Skills,
        context: np.ndarray | None = None,
    ):
        """Makes the policy's prior over skills, and keeps the rest for the networks.

        Args:
          config: configuration of the agent.
          skills: frozen skills, whose latents have a variance.
          context: task and objects, for a distilled high level that reads them.

        Raises:
          ValueError: the skills' latents have no variance, or the skills lack the
            prior that the config asks for.
        """
        super().__init__(config, skills)
        self._context = context
        if skills.config.variant == "discrete":
            raise ValueError(
                "helms_mix needs a distribution over z for each skill, and these "
                "skills are discrete only; use helms_cat"
            )
        self._skill_prior = distillation.make_skill_prior(
            config.skill_prior, skills, context
        )

    def make_policy_network(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> mix_networks.MixturePolicy:
        """Makes a high level over the components that the configuration names."""
        config, skills = self._config, self._skills
        components: mix_networks.Components
        if config.components == "posteriors":
            components = mix_networks.SkillComponents(skills.trainable_networks())
        elif config.components == "frozen":
            components = mix_networks.FrozenComponents(skills)
        else:
            components = mix_networks.NewComponents(skills, config.input_size, seed)
        high_level = CategoricalPolicy(
            self.representation(environment_spec, config.policy_keys),
            config.policy_hidden_sizes,
            skills.num_skills,
        )
        return mix_networks.MixturePolicy(
            high_level, components, config.min_component_stddev
        )

    @override
    def make_networks(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> MPONetworks:
        networks = super().make_networks(environment_spec, seed)
        if self._config.high_level == "distilled":
            policies = networks.policy, networks.target_policy
            high_levels = (policy.high_level for policy in policies)
            distillation.restore(
                self._skills,
                *high_levels,
                context=self._context,
                temperature=self._config.start_temperature,
            )
        return networks

    @override
    def make_policy_loss(self, networks: MPONetworks) -> MixturePolicyLoss:
        del networks
        return MixturePolicyLoss(self._config)

    def demonstrated(self, episodes: Sequence[Episode]) -> list[np.ndarray]:
        """Returns the mean of q(z | y, x) at the likeliest y; see `MPOBuilder`."""

        def latent(proprio: tf.Tensor, objects: tf.Tensor) -> tf.Tensor:
            skill = self._skills.likeliest(proprio, objects)
            acting = slice(skill.shape[1])
            observation = {"proprio": proprio[:, acting], "objects": objects[:, acting]}
            return self._skills.mid_level_of(skill, observation)[0]

        return by_windows(episodes, self._skills.look_ahead, latent)

    def demonstrated_skills(self, episodes: Sequence[Episode]) -> list[np.ndarray]:
        """Returns the likeliest y; see `MPOBuilder`."""
        return by_windows(episodes, self._skills.look_ahead, self._skills.likeliest)

    def prior(self, data: Any, rows: Rows) -> Mixture | tuple[tf.Tensor, tf.Tensor]:
        """Returns the frozen posteriors q(z|y, x): mean and stddev [R, K, Z].

        Their stddev has the policy's lower bound. Where the high level has a prior,
        returns their mixture with its logits [R, K].
        """
        mean, stddev = self._skills.mid_level(rows.take(data.observation))
        components = mean, tf.maximum(stddev, self._config.min_component_stddev)
        if self._skill_prior is None:
            return components
        return Mixture(self._skill_prior(data, rows), *components)
