"""Initial weights drawn from a generator that the caller seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sonnet as snt
import tensorflow as tf


class FanInNormal(snt.initializers.Initializer):
    """Normal weights of deviation scale / sqrt(inputs), from an explicit generator.

    Sonnet's initialisers draw from TensorFlow's global generator; with this one a
    network's weights are a function of its seed alone.
    """

    def __init__(self, rng: np.random.Generator, scale: float = 1.0):
        self._rng = rng
        self._scale = scale

    def __call__(self, shape: Sequence[int], dtype: tf.DType) -> tf.Tensor:
        """Draws [..., inputs, outputs]."""
        stddev = self._scale / np.sqrt(shape[-2])
        return tf.constant(self._rng.normal(scale=stddev, size=tuple(shape)), dtype)
