"""Networks of hierarchical BC: an autoencoder whose encoder sees only the present.

Shape letters: Z latent, D action, P proprioception, O objects; `...` any leading
dimensions.
"""

from __future__ import annotations

import tensorflow as tf

from agents.distributions.policies import Gaussian, Hybrid
from agents.offline.autoencoder import AutoencoderNetworks


class HierarchicalBcNetworks(AutoencoderNetworks):
    """High level q(z_t | x_t) and low level p(a_t | z_t, x_t).

    The high level is the encoder, with no look-ahead (`HierarchicalBcConfig`).
    """

    model = "hierarchical_bc"

    def latent(
        self, proprio: tf.Tensor, objects: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mean and stddev [..., Z] of q(z | x) for normalised inputs."""
        return self.encoder(self.encoder.embed(tf.concat([proprio, objects], axis=-1)))

    def distribution(self, proprio: tf.Tensor, objects: tf.Tensor) -> Gaussian | Hybrid:
        """Returns p(a | z, x) [..., D] at the mean of z for normalised inputs."""
        mean, _ = self.latent(proprio, objects)
        return self.low_level.distribution(mean, proprio)
