"""Frozen form of NPMP: the parts that RL and the analysis use.

Shape letters: B batch, T time, L look-ahead, Z latent, P proprioception, O objects;
`...` any leading dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import tensorflow as tf

from agents.npmp.config import NpmpConfig
from agents.npmp.networks import NpmpNetworks
from agents.offline.frozen import FrozenLatentModel


class NpmpSkills(FrozenLatentModel):
    """Frozen low level, prior and encoder."""

    model = "npmp"
    config_type = NpmpConfig
    networks_type = NpmpNetworks
    config: NpmpConfig

    def __init__(self, networks: NpmpNetworks, description: Mapping[str, object]):
        super().__init__(networks, description)
        self.prior_coefficient = self.config.prior_coefficient
        self.prior_stddev = math.sqrt(1.0 - self.prior_coefficient**2)

    def encode(
        self, proprio: tf.Tensor, objects: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns q(z_t | x) of raw windows [B, T+L, P], [B, T+L, O].

        Returns:
          Mean and standard deviation, [B, T, Z]; under an AR(1) prior each given the
          mean of the step before.
        """
        features = self._networks.normalize(proprio, objects)
        mean, stddev, _ = self._networks.posterior(*features)
        return mean, stddev

    def sample_prior(self, previous_latent: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Draws z_t [..., Z] from the prior, given z_{t-1} [..., Z]; seed is int32 [2].

        The prior's stationary distribution is N(0, I), from which an episode's first z
        is drawn.
        """
        noise = tf.random.stateless_normal(tf.shape(previous_latent), seed)
        return self.prior_coefficient * previous_latent + self.prior_stddev * noise
