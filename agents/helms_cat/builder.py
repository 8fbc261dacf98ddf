"""Builder of HeLMS-cat: MPO whose action is a skill."""

from __future__ import annotations

from collections.abc import Sequence

import dm_env
import numpy as np
from acme import specs

from agents.helms.frozen import Skills
from agents.helms_cat.config import HelmsCatConfig
from agents.helms_cat.networks import SkillPolicy
from agents.high_level import distillation
from agents.mpo import networks as mpo_networks
from agents.mpo.builder import MPOBuilder
from agents.mpo.critics import CategoricalCritic
from agents.mpo.demonstrations import Episode, by_windows
from agents.mpo.networks import MPONetworks
from agents.mpo.policy_losses.categorical import CategoricalPolicyLoss
from agents.offline.frozen import check_fits


class HelmsCatBuilder(MPOBuilder):
    """Builder of HeLMS-cat over one frozen skill bundle."""

    _config: HelmsCatConfig

    def __init__(
        self,
        config: HelmsCatConfig,
        skills: Skills,
        context: np.ndarray | None = None,
    ):
        """Makes new networks normalise their observations by the skills' statistics.

        Args:
          config: configuration of the agent.
          skills: frozen skills that the agent acts by.
          context: task and objects, for a distilled high level that reads them.

        Raises:
          ValueError: the skills lack the prior that the config asks for.
        """
        super().__init__(config, skills.observation_statistics())
        self._skills, self._context = skills, context
        self._skill_prior = distillation.make_skill_prior(
            config.skill_prior, skills, context
        )

    def agent_action_spec(
        self, environment_spec: specs.EnvironmentSpec
    ) -> dm_env.specs.DiscreteArray:
        """Returns the spec of a skill y in 0..K-1."""
        del environment_spec
        return dm_env.specs.DiscreteArray(
            self._skills.num_skills, dtype=np.int32, name="skill"
        )

    def demonstrated(self, episodes: Sequence[Episode]) -> list[np.ndarray]:
        """Returns the likeliest skill of q(y_t | x_{1:t}); see `MPOBuilder`."""
        return by_windows(episodes, self._skills.look_ahead, self._skills.likeliest)

    demonstrated_skills = demonstrated

    def make_policy_loss(self, networks: MPONetworks) -> CategoricalPolicyLoss:
        """Makes the loss that evaluates all K skills."""
        del networks
        return CategoricalPolicyLoss(self._config)

    def make_networks(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> MPONetworks:
        """Makes high level and critic; raises ValueError if the skills do not fit."""
        check_fits(environment_spec, self._skills)
        config, num_skills = self._config, self._skills.num_skills
        policy = mpo_networks.CategoricalPolicy(
            self.representation(environment_spec, config.policy_keys),
            config.policy_hidden_sizes,
            num_skills,
        )
        critic = CategoricalCritic(
            self.representation(environment_spec, config.critic_keys),
            config.critic_hidden_sizes,
            num_skills,
            config.critic_rnn_size,
        )
        networks = mpo_networks.make_networks(
            policy, critic, environment_spec.observations, seed
        )
        if config.high_level == "distilled":
            policies = policy, networks.target_policy
            distillation.restore(
                self._skills,
                *policies,
                context=self._context,
                temperature=self._config.start_temperature,
            )
        networks.prior = self._skill_prior
        return networks

    def make_policy(
        self, networks: MPONetworks, evaluation: bool = False
    ) -> SkillPolicy:
        """Makes the policy that runs high level and skills in one call."""
        return SkillPolicy(
            networks.policy,
            self._skills,
            greedy=evaluation and self._config.evaluation == "greedy",
            sample_latent=self._config.sample_latent,
            skill_steps=self._config.skill_steps,
        )
