"""Normalisation of observations by fixed statistics."""

from __future__ import annotations

import numpy as np
import sonnet as snt
import tensorflow as tf

_CLIP = 10.0  # in standard deviations
# Floor of the deviation, in the feature's own unit. Without it a feature that is nearly
# constant in the data would be amplified without bound where it varies later.
_MIN_STDDEV = 1e-2


@snt.allow_empty_variables  # none is trainable
class Normalizer(snt.Module):
    """Map from x [..., N] to (x - mean) / stddev, clipped to +-10.

    The statistics are variables that do not train, so that checkpoints hold them.
    """

    def __init__(self, mean: np.ndarray, stddev: np.ndarray, name: str = "normalizer"):
        """Keeps the statistics.

        Args:
          mean: [N].
          stddev: [N]; values under 0.01 are raised to that.
          name: name scope of the variables.

        Raises:
          ValueError: shapes differ or are not vectors, a value is not finite, or a
            standard deviation is negative.
        """
        super().__init__(name=name)
        mean = np.asarray(mean, np.float32)
        stddev = np.asarray(stddev, np.float32)
        if mean.ndim != 1 or mean.shape != stddev.shape:
            raise ValueError(
                "mean and stddev must be vectors of one length, got shapes "
                f"{mean.shape} and {stddev.shape}"
            )
        if not (np.isfinite(mean).all() and np.isfinite(stddev).all()):
            raise ValueError("mean and stddev must be finite")
        if (stddev < 0).any():
            raise ValueError(f"stddev must not be negative, got {stddev.min()}")
        self._mean = tf.Variable(mean, trainable=False, name="mean")
        self._stddev = tf.Variable(
            np.maximum(stddev, _MIN_STDDEV), trainable=False, name="stddev"
        )

    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean [N] and standard deviation [N], the latter with its floor."""
        return self._mean.numpy(), self._stddev.numpy()

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalises inputs [..., N] (any real type) to float32 of the same shape."""
        inputs = tf.cast(inputs, tf.float32)
        return tf.clip_by_value((inputs - self._mean) / self._stddev, -_CLIP, _CLIP)
