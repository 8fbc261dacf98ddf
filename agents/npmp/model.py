"""NPMP as the offline learner trains it.

Shape letters: B batch, T time, Z latent, D action.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import tensorflow as tf

from agents.losses import latent_elbo
from agents.losses.masking import sum_valid
from agents.npmp.config import NpmpConfig
from agents.npmp.networks import NpmpNetworks
from agents.offline.config import LatentConfig
from agents.offline.model import Batch, LossOutput, OfflineModel, active_latents


class NpmpModel(OfflineModel):
    """The bound of one latent a step, by one reparametrised draw of it."""

    networks_type: ClassVar[type[NpmpNetworks]] = NpmpNetworks
    config_type: ClassVar[type[LatentConfig]] = NpmpConfig
    networks: NpmpNetworks
    config: LatentConfig

    def terms(
        self, batch: Batch, seed: tf.Tensor, evaluation: bool = False
    ) -> LossOutput:
        """See `OfflineModel`."""
        networks, config = self.networks, self.config
        proprio, objects = networks.normalize(batch["proprio"], batch["objects"])
        shape = [tf.shape(proprio)[0], config.window, config.latent_dim]
        noise = tf.random.stateless_normal(shape, seed)
        mean, stddev, latent = networks.posterior(proprio, objects, noise)  # [B, T, Z]
        proprio = proprio[:, : config.window]
        latent_kl = latent_elbo.ar1_kl(mean, stddev, latent, config.prior_coefficient)
        bound, stats = latent_elbo.latent_elbo(
            log_likelihood=networks.low_level.distribution(latent, proprio).log_prob(
                batch["action"]
            ),
            latent_kl=tf.reduce_sum(latent_kl, axis=-1),
            mask=batch["mask"],
            beta_z=config.beta_z,
        )
        sums = {
            "log_likelihood": tf.reduce_sum(stats.log_likelihood),
            "latent_kl": tf.reduce_sum(stats.latent_kl),
        }
        if evaluation:
            squares = tf.square(batch["action"] - networks.low_level(mean, proprio))
            mse = sum_valid(tf.reduce_mean(squares, axis=-1), batch["mask"])
            per_dim = sum_valid(latent_kl, batch["mask"])  # [B, Z]
            sums["action_mse"] = tf.reduce_sum(mse)
            sums["latent_kl_per_dim"] = tf.reduce_sum(per_dim, axis=0)
        return LossOutput(bound, sums)

    def metrics(self, means: Mapping[str, np.ndarray]) -> dict[str, float | list]:
        """Beside the terms: active_latents, the dimensions with 0.01 nats of KL."""
        means = dict(means)
        active = active_latents(means.pop("latent_kl_per_dim"))
        return {**super().metrics(means), "active_latents": active}
