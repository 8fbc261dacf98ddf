"""Network of BC.

Shape letters: D action, P proprioception, O objects; `...` any leading dimensions.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from agents import networks
from agents.bc.config import BcConfig
from agents.distributions.policies import Gaussian, Hybrid
from agents.offline.networks import Dims, OfflineNetworks, Statistics


class BcNetworks(OfflineNetworks):
    """Policy p(a_t | x_t): an MLP on proprioception and objects, tanh on its mean."""

    model = "bc"

    def __init__(self, config: BcConfig, dims: Dims, statistics: Statistics):
        """Draws the initial weights from `config.seed`; see `OfflineNetworks`."""
        super().__init__(config, dims, statistics)
        rng = np.random.default_rng(config.seed)
        self._torso = networks.make_mlp(
            config.hidden_sizes, w_init=networks.FanInNormal(rng)
        )
        self._head = networks.ActionHead(
            dims.action,
            config.action_stddev,
            config.finger,
            w_init=networks.FanInNormal(rng, 0.3),
        )
        self.distribution(tf.zeros([1, dims.proprio]), tf.zeros([1, dims.objects]))

    def distribution(self, proprio: tf.Tensor, objects: tf.Tensor) -> Gaussian | Hybrid:
        """Returns p(a | x) [..., D] of normalised [..., P] and [..., O]."""
        return self._head(self._torso(tf.concat([proprio, objects], axis=-1)))
