"""Offline form of HeLMS and its ablations, which maximises the bound of Eq. 3.

Shape letters: B batch, T time, K skills, Z latent, D action.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from typing_extensions import override

from agents.distributions import gaussian
from agents.helms.config import HelmsConfig
from agents.helms.networks import HelmsNetworks
from agents.losses import elbo
from agents.offline.model import Batch, LossOutput, OfflineModel, active_latents


class HelmsModel(OfflineModel):
    """Bound that sums over skills exactly and draws each skill's latent once.

    The discrete variant has neither a draw nor a latent KL: without variance, the KL is
    not finite.
    """

    networks_type = HelmsNetworks
    config_type = HelmsConfig
    networks: HelmsNetworks
    config: HelmsConfig

    @override
    def terms(
        self, batch: Batch, seed: tf.Tensor, evaluation: bool = False
    ) -> LossOutput:
        networks, config = self.networks, self.config
        has_variance = config.variant != "discrete"
        proprio, objects = networks.normalize(batch["proprio"], batch["objects"])
        logits = networks.posterior_logits(proprio, objects)  # [B, T, K, K]
        proprio, objects = proprio[:, : config.window], objects[:, : config.window]
        mean, stddev = networks.latent(proprio, objects)  # [B, T, K, Z]
        latent, latent_kl = mean, tf.zeros_like(mean)
        if has_variance:
            latent += stddev * tf.random.stateless_normal(tf.shape(mean), seed)
            latent_kl = gaussian.kl_to_standard(mean, stddev)
        action = networks.low_level.distribution(latent, proprio[:, :, None])
        bound, stats = elbo.helms_elbo(
            log_likelihood=action.log_prob(batch["action"][:, :, None]),
            latent_kl=tf.reduce_sum(latent_kl, axis=-1),
            posterior_logits=logits,
            prior_logits=networks.prior_logits,
            mask=batch["mask"],
            beta_y=config.beta_y,
            beta_z=config.beta_z,
        )
        sums = {
            "log_likelihood": tf.reduce_sum(stats.log_likelihood),
            "categorical_kl": tf.reduce_sum(stats.categorical_kl),
        }
        if has_variance:
            sums["latent_kl"] = tf.reduce_sum(stats.latent_kl)
        if evaluation:
            weights = elbo.masked_marginals(stats.marginals, batch["mask"])
            actions = networks.low_level(mean, proprio[:, :, None])  # [B, T, K, D]
            squares = tf.square(batch["action"][:, :, None] - actions)
            sums.update(
                action_mse=tf.reduce_sum(weights * tf.reduce_mean(squares, axis=-1)),
                skill_use=tf.reduce_sum(weights, axis=[0, 1]),
                step_entropy=-tf.reduce_sum(tf.math.xlogy(weights, weights)),
            )
            if has_variance:
                sums["latent_kl_per_dim"] = tf.einsum("btk,btkz->z", weights, latent_kl)
            return LossOutput(bound, sums)
        if config.balance:
            steps = tf.reduce_sum(batch["mask"], axis=1)  # [B]
            use = elbo.mean_use(stats.marginals, batch["mask"])
            entropy = -tf.reduce_sum(tf.math.xlogy(use, use))
            bound += config.balance * entropy * steps
        if config.switch_cost:
            bound -= config.switch_cost * stats.switches
        return LossOutput(bound, sums)

    def metrics(self, means: Mapping[str, np.ndarray]) -> dict[str, float | list]:
        """Adds to the terms how the skills are used and what the prior has learned.

        skill_use is the mean [K] of q(y_t | x_{1:t}), use_entropy its entropy (log K
        where all skills are used alike), step_entropy the mean entropy of
        q(y_t | x_{1:t}) (low where it decides), prior_stay the mean diagonal of the
        transition prior, active_latents the dimensions with at least 0.01 nats of KL.
        """
        means = dict(means)
        per_dim = means.pop("latent_kl_per_dim", None)
        use = means["skill_use"]
        prior = tf.nn.softmax(self.networks.prior_logits).numpy()
        metrics = super().metrics(means)
        metrics["use_entropy"] = float(-np.sum(use * np.log(np.maximum(use, 1e-12))))
        metrics["prior_stay"] = float(np.mean(np.diag(prior)))
        if per_dim is not None:
            metrics["active_latents"] = active_latents(per_dim)
        return metrics
