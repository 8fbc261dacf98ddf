"""Initialisers that draw weights from a generator that the caller seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sonnet as snt
import tensorflow as tf


class FanInNormal(snt.initializers.Initializer):
    """Initialiser of normal weights of deviation scale / sqrt(inputs).

    Sonnet's initialisers draw from TensorFlow's global generator. This one draws from a
    given generator, so that a network's weights depend only on its seed.
    """

    def __init__(self, rng: np.random.Generator, scale: float = 1.0):
        self._rng = rng
        self._scale = scale

    def __call__(self, shape: Sequence[int], dtype: tf.DType) -> tf.Tensor:
        """Draws [..., inputs, outputs]."""
        stddev = self._scale / np.sqrt(shape[-2])
        return tf.constant(self._rng.normal(scale=stddev, size=tuple(shape)), dtype)
