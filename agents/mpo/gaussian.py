"""MPO on a Gaussian policy: over actions (the baseline from scratch), or over latents.

Agents with another continuous policy, or whose actions are decoded from a latent,
change `ContinuousMPOBuilder` in the methods that say so.

Shape letters: D latent (the action, if nothing decodes it); [...] any leading
dimensions.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any

import dm_env
import numpy as np
import sonnet as snt
import tensorflow as tf
from acme import specs
from acme.tf import networks as acme_networks

from agents import networks as shared
from agents.builder import Decision, Held, Observation, Policy
from agents.distributions import bernoulli
from agents.distributions.policies import Gaussian, Hybrid
from agents.mpo import networks as mpo_networks
from agents.mpo.builder import MPOBuilder, check_fits
from agents.mpo.config import ActionMPOConfig, GaussianMPOConfig, SampledMPOConfig
from agents.mpo.demonstrations import Episode
from agents.mpo.policy_losses.sampled import (
    GaussianPolicyLoss,
    HybridPolicyLoss,
    SampledPolicyLoss,
)
from agents.mpo.rows import Rows
from agents.offline.frozen import FrozenLatentModel


class _ContinuousPolicy(mpo_networks.PolicyNetwork):
    """Input representation, MLP, Acme's diagonal Gaussian head."""

    def __init__(
        self,
        representation: mpo_networks.InputRepresentation,
        hidden_sizes: Sequence[int],
        size: int,
        init_stddev: float,
    ):
        """`size` is D."""
        super().__init__(name="policy")
        self._representation = representation
        self._torso = shared.make_mlp(hidden_sizes)
        self._head = acme_networks.MultivariateNormalDiagHead(
            size, init_scale=init_stddev, use_tfd_independent=True
        )

    def _features(self, observation: Observation) -> tf.Tensor:
        return self._torso(self._representation(observation))

    def _gaussian(self, features: tf.Tensor) -> Gaussian:
        found = self._head(features)
        return Gaussian(found.mean(), found.stddev())


class GaussianPolicy(_ContinuousPolicy):
    """pi(a|x), a diagonal Gaussian."""

    def __call__(self, observation: Observation) -> Gaussian:
        """Maps name -> [..., n] to the Gaussian [..., D]."""
        return self._gaussian(self._features(observation))


class HybridPolicy(_ContinuousPolicy):
    """The same with a Bernoulli finger, whose logit is near 0 at first."""

    def __init__(
        self,
        representation: mpo_networks.InputRepresentation,
        hidden_sizes: Sequence[int],
        size: int,
        init_stddev: float,
    ):
        """`size` is D, with the finger."""
        super().__init__(representation, hidden_sizes, size - 1, init_stddev)
        w_init = snt.initializers.VarianceScaling(1e-2)
        self._logit = shared.LeadingDims(snt.Linear(1, w_init=w_init, name="finger"))

    def __call__(self, observation: Observation) -> Hybrid:
        """Maps name -> [..., n] to the hybrid [..., D]."""
        features = self._features(observation)
        return Hybrid(self._gaussian(features), self._logit(features)[..., 0])


class LatentPolicy(Policy):
    """Draws a latent from a policy network and decodes it to an action."""

    def __init__(
        self,
        network: mpo_networks.PolicyNetwork,
        decode: Callable[[tf.Tensor, Observation], tf.Tensor],
        greedy: bool = False,
        skill_steps: int = 1,
    ):
        """Makes the policy.

        Args:
          network: its variables made.
          decode: of latents [M, D] and observations [M, n]: the actions [M, A].
          greedy: take the mode instead of a draw.
          skill_steps: control steps that what the network draws is held.
        """
        super().__init__(name="latent_policy")
        self._network = network
        self._decode = decode
        self._greedy = greedy
        self.skill_steps = skill_steps

    def __call__(
        self, observation: Observation, seed: tf.Tensor, held: Held | None = None
    ) -> Decision:
        """See `Policy`; actions are clipped to [-1, 1], latents are as drawn."""
        if self._greedy:
            latent, holds = self._network.mode(observation, held)
        else:
            latent, holds = self._network.draw(observation, seed, held)
        action = tf.clip_by_value(self._decode(latent, observation), -1.0, 1.0)
        return Decision(latent, action, holds)

    @property
    def learned_variables(self) -> list[tf.Variable]:
        """The network's, the frozen ones too (a learner hands out all)."""
        return list(self._network.variables)


class ContinuousMPOBuilder(MPOBuilder, abc.ABC):
    """Makes an agent whose RL action is a vector of real numbers."""

    def latent_size(self, environment_spec: specs.EnvironmentSpec) -> int:
        """D: here of the action."""
        return int(np.prod(environment_spec.actions.shape))

    @abc.abstractmethod
    def make_policy_network(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> mpo_networks.PolicyNetwork:
        """A new policy, whose variables come later.

        Raises:
          ValueError: the environment does not suit the agent.
        """

    @abc.abstractmethod
    def make_policy_loss(self, networks: mpo_networks.MPONetworks) -> SampledPolicyLoss:
        """See `MPOBuilder`."""

    def decode(self, latent: tf.Tensor, observation: Observation) -> tf.Tensor:
        """The action [..., A] of latents [..., D]; here they are the same."""
        del observation
        return latent

    def demonstrated(self, episodes: Sequence[Episode]) -> list[np.ndarray]:
        """The action; see `MPOBuilder`."""
        return [episode.action for episode in episodes]

    def prior(self, data: Any, rows: Rows) -> Any:
        """What the policy is kept near in rows of a batch of sequences; nothing."""
        del data, rows

    def latent_spec(
        self, environment_spec: specs.EnvironmentSpec
    ) -> dm_env.specs.Array:
        """A vector [D], as drawn."""
        size = self.latent_size(environment_spec)
        return dm_env.specs.Array((size,), np.float32, name="latent")

    def make_networks(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> mpo_networks.MPONetworks:
        """New policy and critic; raises ValueError if something does not fit."""
        config = self._config
        critic = mpo_networks.ActionCritic(
            self.representation(environment_spec, config.critic_keys),
            config.critic_hidden_sizes,
            self.latent_size(environment_spec),
            config.critic_rnn_size,
        )
        networks = mpo_networks.make_networks(
            self.make_policy_network(environment_spec, seed),
            critic,
            environment_spec.observations,
            seed,
        )
        networks.prior = self.prior
        return networks

    def make_policy(
        self, networks: mpo_networks.MPONetworks, evaluation: bool = False
    ) -> LatentPolicy:
        """Draw and decode in one call."""
        config = self._config
        greedy = evaluation and config.evaluation == "greedy"
        return LatentPolicy(networks.policy, self.decode, greedy, config.skill_steps)


class LatentMPOBuilder(ContinuousMPOBuilder, abc.ABC):
    """Makes an agent whose RL action is the latent z of a frozen model."""

    @abc.abstractmethod
    def demonstrated(self, episodes: Sequence[Episode]) -> list[np.ndarray]:
        """The mean of the frozen model's posterior over z; see `MPOBuilder`."""

    def __init__(self, config: SampledMPOConfig, skills: FrozenLatentModel):
        """New networks normalise their observations by the skills' statistics."""
        super().__init__(config, skills.observation_statistics())
        self._skills = skills

    def latent_size(self, environment_spec: specs.EnvironmentSpec) -> int:
        """Z."""
        del environment_spec
        return self._skills.latent_dim

    def decode(self, latent: tf.Tensor, observation: Observation) -> tf.Tensor:
        """The frozen low level's mean action."""
        return self._skills.low_level(latent, observation)

    def make_networks(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> mpo_networks.MPONetworks:
        """See `ContinuousMPOBuilder`; the skills must fit the environment."""
        check_fits(environment_spec, self._skills)
        return super().make_networks(environment_spec, seed)


class GaussianMPOBuilder(ContinuousMPOBuilder):
    """Makes MPO from scratch: a new policy over actions."""

    _config: GaussianMPOConfig

    @property
    def finger(self) -> str:
        """What the last component of the policy is, one of `FINGERS`."""
        return self._config.finger or "gaussian"

    @property
    def prior_weight(self) -> float:
        """Weight of the KL to `prior`."""
        return 0.0

    def make_policy_network(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> mpo_networks.PolicyNetwork:
        """See `ContinuousMPOBuilder`."""
        config = self._config
        policy = HybridPolicy if self.finger == "bernoulli" else GaussianPolicy
        return policy(
            self.representation(environment_spec, config.policy_keys),
            config.policy_hidden_sizes,
            self.latent_size(environment_spec),
            config.init_stddev,
        )

    def make_policy_loss(
        self, networks: mpo_networks.MPONetworks
    ) -> GaussianPolicyLoss | HybridPolicyLoss:
        """See `MPOBuilder`."""
        config, size = self._config, networks.critic.action_size
        if self.finger == "bernoulli":
            assert isinstance(config, ActionMPOConfig)  # others have no such option
            return HybridPolicyLoss(config, size, self.prior_weight)
        return GaussianPolicyLoss(config, size, self.prior_weight)

    def demonstrated(self, episodes: Sequence[Episode]) -> list[np.ndarray]:
        """The action, a Bernoulli finger by its sign; see `MPOBuilder`."""
        actions = super().demonstrated(episodes)
        if self.finger != "bernoulli":
            return actions
        return [
            np.append(a[:, :-1], bernoulli.sign(a[:, -1:]), axis=1) for a in actions
        ]
