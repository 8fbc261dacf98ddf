"""Builder of BC fine-tuned by MPO: the policy starts as the behaviour clone.

Shape letters: R rows of a batch, D action; [...] any leading dimensions.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from acme import specs

from agents.bc.policy import BcPolicy
from agents.builder import Observation
from agents.distributions import Gaussian, PolicyNetwork
from agents.hierarchical_bc.policy import HierarchicalBcPolicy
from agents.mpo.builder import check_fits
from agents.mpo.config import GaussianMPOConfig, check_not_negative
from agents.mpo.gaussian import GaussianMPOBuilder
from agents.mpo.networks import MPONetworks
from agents.mpo.rows import Rows
from agents.mpo.sampled import GaussianPolicyLoss


@dataclasses.dataclass(frozen=True)
class FineTuningConfig(GaussianMPOConfig):
    """Options of a fine-tuned clone; `eta_clone` weighs the KL to the frozen clone."""

    eta_clone: float = 0.0  # the paper has no such KL

    def __post_init__(self):
        """See `MPOConfig`."""
        super().__post_init__()
        check_not_negative(self, "eta_clone")


class FineTunedPolicy(PolicyNetwork):
    """N(mean(x), stddev^2): all of a behaviour clone can be trained, stddev too.

    The clone's deviation is fixed while it learns offline; here it is where each
    dimension's starts.
    """

    def __init__(self, clone: BcPolicy | HierarchicalBcPolicy):
        """Copies the clone's networks."""
        super().__init__(name="policy")
        self._networks = clone.trainable_networks()
        stddev = tf.fill([clone.action_dim], float(clone.action_stddev))
        self._raw_stddev = tf.Variable(tfp.math.softplus_inverse(stddev), name="stddev")

    def __call__(self, observation: Observation) -> Gaussian:
        """Maps raw "proprio" and "objects" to the Gaussian [..., D]."""
        mean = self._networks.action(
            *self._networks.normalize(observation["proprio"], observation["objects"])
        )
        stddev = tf.nn.softplus(self._raw_stddev) + tf.zeros_like(mean)
        return Gaussian(mean, stddev)


class FineTuningBuilder(GaussianMPOBuilder):
    """Makes MPO that starts from a clone: BC, or hierarchical BC whole."""

    def __init__(
        self, config: FineTuningConfig, clone: BcPolicy | HierarchicalBcPolicy
    ):
        """The critic normalises its observations as the clone does."""
        super().__init__(config, clone.observation_statistics())
        self._clone = clone

    def make_policy_network(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> FineTunedPolicy:
        """The clone; raises ValueError if the environment is not its own."""
        del seed  # nothing is drawn
        check_fits(environment_spec, self._clone)
        return FineTunedPolicy(self._clone)

    def make_policy_loss(self, networks: MPONetworks) -> GaussianPolicyLoss:
        """With the KL to the clone."""
        size = networks.critic.action_size
        return GaussianPolicyLoss(self._config, size, self._config.eta_clone)

    def prior(self, data: Any, rows: Rows) -> Gaussian | None:
        """The frozen clone N(mean(x), action_stddev^2 I) [R, D]; None without eta."""
        if not self._config.eta_clone:
            return None
        mean = self._clone.mean(rows.take(data.observation))
        return Gaussian(mean, tf.fill(tf.shape(mean), float(self._clone.action_stddev)))
