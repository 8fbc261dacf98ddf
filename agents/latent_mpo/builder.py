"""Base of the agents whose action in MPO is the latent z of a frozen model.

Shape letters: M environments, Z latent, A environment action.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from acme import specs
from typing_extensions import override

from agents.builder import Observation
from agents.mpo import networks as mpo_networks
from agents.mpo.config import SampledMPOConfig
from agents.mpo.continuous import ContinuousMPOBuilder, ContinuousPolicy
from agents.mpo.demonstrations import Episode
from agents.offline.frozen import FrozenLatentModel, check_fits


class LatentPolicy(ContinuousPolicy):
    """Policy that draws z from a network and decodes it by the frozen low level."""

    def __init__(
        self,
        network: mpo_networks.PolicyNetwork,
        skills: FrozenLatentModel,
        greedy: bool = False,
        skill_steps: int = 1,
    ):
        """Takes the low level of `skills`; the other arguments are the base's."""
        super().__init__(network, greedy, skill_steps)
        self._skills = skills

    def decode(self, agent_action: tf.Tensor, observation: Observation) -> tf.Tensor:
        """Returns the mean [M, A] of p(a | z, x) for z [M, Z]."""
        return self._skills.low_level(agent_action, observation)


class LatentMPOBuilder(ContinuousMPOBuilder, abc.ABC):
    """Builder of an agent whose RL action is the latent z of a frozen model."""

    @abc.abstractmethod
    def demonstrated(self, episodes: Sequence[Episode]) -> list[np.ndarray]:
        """Returns the mean of the frozen model's posterior over z; see `MPOBuilder`."""

    def __init__(self, config: SampledMPOConfig, skills: FrozenLatentModel):
        """Makes new networks normalise their observations by the skills' statistics."""
        super().__init__(config, skills.observation_statistics())
        self._skills = skills

    def agent_action_size(self, environment_spec: specs.EnvironmentSpec) -> int:
        """Returns Z."""
        del environment_spec
        return self._skills.latent_dim

    @override
    def make_networks(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> mpo_networks.MPONetworks:
        check_fits(environment_spec, self._skills)
        return super().make_networks(environment_spec, seed)

    def make_policy(
        self, networks: mpo_networks.MPONetworks, evaluation: bool = False
    ) -> LatentPolicy:
        """Makes the policy that draws z and decodes it in one call."""
        options = self._policy_options(evaluation)
        return LatentPolicy(networks.policy, self._skills, **options)
