"""Builder of HeLMS-cat: MPO whose action is a skill."""

from __future__ import annotations

import dm_env
import numpy as np
from acme import specs

from agents.helms_cat.config import HelmsCatConfig
from agents.helms_cat.networks import SkillDecoder, SkillPolicy, make_networks
from agents.mpo.builder import MPOBuilder, check_fits, observation_sizes
from agents.mpo.networks import MPONetworks
from agents.mpo.policy_loss import CategoricalPolicyLoss


class HelmsCatBuilder(MPOBuilder[MPONetworks]):
    """Makes HeLMS-cat over one frozen skill bundle."""

    def __init__(self, config: HelmsCatConfig, skills: SkillDecoder):
        super().__init__(config)
        self._skills = skills

    def latent_spec(
        self, environment_spec: specs.EnvironmentSpec
    ) -> dm_env.specs.DiscreteArray:
        """The skill y in 0..K-1."""
        del environment_spec
        return dm_env.specs.DiscreteArray(
            self._skills.num_skills, dtype=np.int32, name="skill"
        )

    def make_policy_loss(self, networks: MPONetworks) -> CategoricalPolicyLoss:
        """All K skills are evaluated."""
        del networks
        return CategoricalPolicyLoss(self._config)

    def make_networks(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> MPONetworks:
        """A new high level and critic; raises ValueError if the skills do not fit."""
        check_fits(environment_spec, self._skills)
        return make_networks(
            self._config, self._skills, observation_sizes(environment_spec), seed
        )

    def make_policy(
        self, networks: MPONetworks, evaluation: bool = False
    ) -> SkillPolicy:
        """High level and skills in one call."""
        return SkillPolicy(
            networks.policy,
            self._skills,
            greedy=evaluation and self._config.evaluation == "greedy",
            sample_latent=self._config.sample_latent,
        )
