"""MPO from scratch: a Gaussian policy over actions, whose finger may be Bernoulli.

Shape letters: D action; [...] any leading dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sonnet as snt
import tensorflow as tf
from acme import specs
from acme.tf import networks as acme_networks
from typing_extensions import override

from agents import networks as shared
from agents.builder import Observation
from agents.distributions import bernoulli
from agents.distributions.policies import Gaussian, Hybrid
from agents.mpo import networks as mpo_networks
from agents.mpo.config import ActionMPOConfig, GaussianMPOConfig
from agents.mpo.continuous import ContinuousMPOBuilder
from agents.mpo.demonstrations import Episode
from agents.mpo.policy_losses.sampled import GaussianPolicyLoss, HybridPolicyLoss
from agents.mpo.representation import InputRepresentation


class _ContinuousPolicy(mpo_networks.PolicyNetwork):
    """Policy network of input representation, MLP and Acme's diagonal Gaussian head."""

    def __init__(
        self,
        representation: InputRepresentation,
        hidden_sizes: Sequence[int],
        size: int,
        init_stddev: float,
    ):
        """Makes the layers; `size` is D."""
        super().__init__(name="policy")
        self._representation = representation
        self._torso = shared.make_mlp(hidden_sizes)
        self._head = acme_networks.MultivariateNormalDiagHead(
            size, init_scale=init_stddev, use_tfd_independent=True
        )

    def _features(self, observation: Observation) -> tf.Tensor:
        return self._torso(self._representation(observation))

    def _gaussian(self, features: tf.Tensor) -> Gaussian:
        distribution = self._head(features)
        return Gaussian(distribution.mean(), distribution.stddev())


class GaussianPolicy(_ContinuousPolicy):
    """Policy pi(a|x), a diagonal Gaussian."""

    def __call__(self, observation: Observation) -> Gaussian:
        """Maps name -> [..., n] to the Gaussian [..., D]."""
        return self._gaussian(self._features(observation))


class HybridPolicy(_ContinuousPolicy):
    """Gaussian policy with a Bernoulli finger, whose logit is near 0 at first."""

    def __init__(
        self,
        representation: InputRepresentation,
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


class GaussianMPOBuilder(ContinuousMPOBuilder):
    """Builder of MPO from scratch, with a new policy over actions."""

    _config: GaussianMPOConfig

    @property
    def finger(self) -> str:
        """Distribution of the policy's last component, one of `FINGERS`."""
        return self._config.finger or "gaussian"

    @property
    def prior_weight(self) -> float:
        """Weight of the KL to `prior`."""
        return 0.0

    @override
    def make_policy_network(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> mpo_networks.PolicyNetwork:
        config = self._config
        policy = HybridPolicy if self.finger == "bernoulli" else GaussianPolicy
        return policy(
            self.representation(environment_spec, config.policy_keys),
            config.policy_hidden_sizes,
            self.agent_action_size(environment_spec),
            config.init_stddev,
        )

    @override
    def make_policy_loss(
        self, networks: mpo_networks.MPONetworks
    ) -> GaussianPolicyLoss | HybridPolicyLoss:
        config, size = self._config, networks.critic.action_size
        if self.finger == "bernoulli":
            assert isinstance(config, ActionMPOConfig)  # the only one with bernoulli
            return HybridPolicyLoss(config, size, self.prior_weight)
        return GaussianPolicyLoss(config, size, self.prior_weight)

    def demonstrated(self, episodes: Sequence[Episode]) -> list[np.ndarray]:
        """Returns the actions, a Bernoulli finger as its sign; see `MPOBuilder`."""
        actions = super().demonstrated(episodes)
        if self.finger != "bernoulli":
            return actions
        return [
            np.append(a[:, :-1], bernoulli.sign(a[:, -1:]), axis=1) for a in actions
        ]
