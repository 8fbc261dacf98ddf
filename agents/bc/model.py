"""Offline form of BC, which maximises the likelihood of the action."""

from __future__ import annotations

import tensorflow as tf
from typing_extensions import override

from agents.bc.config import BcConfig
from agents.bc.networks import BcNetworks
from agents.losses.masking import sum_valid
from agents.offline.model import Batch, LossOutput, OfflineModel


class BcModel(OfflineModel):
    """Objective log p(a_t | x_t): with no latent, the bound is the likelihood."""

    networks_type = BcNetworks
    config_type = BcConfig

    @override
    def terms(
        self, batch: Batch, seed: tf.Tensor, evaluation: bool = False
    ) -> LossOutput:
        del seed  # nothing is drawn
        features = self.networks.normalize(batch["proprio"], batch["objects"])
        action = self.networks.distribution(*features)  # [B, T, D]
        log_likelihood = sum_valid(action.log_prob(batch["action"]), batch["mask"])
        sums = {"log_likelihood": tf.reduce_sum(log_likelihood)}
        if evaluation:
            squares = tf.reduce_mean(tf.square(batch["action"] - action.mean), axis=-1)
            sums["action_mse"] = tf.reduce_sum(sum_valid(squares, batch["mask"]))
        return LossOutput(log_likelihood, sums)
