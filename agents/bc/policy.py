"""BC, frozen. Shape letters: D action; `...` any leading dimensions."""

from __future__ import annotations

import tensorflow as tf

from agents.bc.config import BcConfig
from agents.bc.networks import BcNetworks
from agents.offline.frozen import FrozenModel, Observation


class BcPolicy(FrozenModel):
    """The frozen policy N(mean(x), action_stddev^2 I)."""

    model = "bc"
    config_type = BcConfig
    networks_type = BcNetworks

    def mean(self, observation: Observation) -> tf.Tensor:
        """The mean action [..., D] in (-1, 1)."""
        return self._networks.action(*self._features(observation))

    def sample(self, observation: Observation, seed: tf.Tensor) -> tf.Tensor:
        """Draws an action [..., D], clipped to [-1, 1]; seed is int32 [2]."""
        mean = self.mean(observation)
        noise = tf.random.stateless_normal(tf.shape(mean), seed)
        return tf.clip_by_value(mean + self.action_stddev * noise, -1.0, 1.0)
