"""The network of BC.

Shape letters: D action, P proprioception, O objects; `...` any leading dimensions.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from agents import networks
from agents.bc.config import BcConfig
from agents.offline.networks import Dims, OfflineNetworks, Statistics


class BcNetworks(OfflineNetworks):
    """p(a_t | x_t): an MLP on proprioception and objects at t, tanh on its mean."""

    model = "bc"

    def __init__(self, config: BcConfig, dims: Dims, statistics: Statistics):
        """Draws the initial weights from `config.seed`; see `OfflineNetworks`."""
        super().__init__(config, dims, statistics)
        rng = np.random.default_rng(config.seed)
        self._torso = networks.make_mlp(
            config.hidden_sizes, w_init=networks.FanInNormal(rng)
        )
        self._head = networks.FixedStddevGaussianHead(
            dims.action,
            stddev=config.action_stddev,
            w_init=networks.FanInNormal(rng, 0.3),
        )
        self.action(tf.zeros([1, dims.proprio]), tf.zeros([1, dims.objects]))

    def action(self, proprio: tf.Tensor, objects: tf.Tensor) -> tf.Tensor:
        """The mean action [..., D] in (-1, 1) of normalised [..., P] and [..., O]."""
        return self._head.mean(self._torso(tf.concat([proprio, objects], axis=-1)))
