"""Frozen form of hierarchical BC.

Shape letters: Z latent; `...` any leading dimensions.
"""

from __future__ import annotations

import tensorflow as tf

from agents.hierarchical_bc.config import HierarchicalBcConfig
from agents.hierarchical_bc.networks import HierarchicalBcNetworks
from agents.offline.frozen import FrozenLatentModel, FrozenPolicy, Observation


class HierarchicalBcPolicy(FrozenPolicy, FrozenLatentModel):
    """Frozen high and low level, which together act as a policy at the mean of z."""

    model = "hierarchical_bc"
    config_type = HierarchicalBcConfig
    networks_type = HierarchicalBcNetworks

    def latent(self, observation: Observation) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mean and standard deviation of q(z | x), both [..., Z]."""
        return self._networks.latent(*self._features(observation))
