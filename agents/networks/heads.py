"""Heads: the last linear layer of a network, and the distribution it parameterises.

Shape letters: D event size, K categories.
"""

from __future__ import annotations

import sonnet as snt
import tensorflow as tf
import tensorflow_probability as tfp

from agents.networks.torsos import LeadingDims

tfd = tfp.distributions


def bounded_stddev(raw: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Maps any real to a standard deviation in (low, high) by a sigmoid, same shape."""
    return low + (high - low) * tf.sigmoid(raw)


def _small_linear(
    size: int,
    scale: float,
    name: str,
    w_init: snt.initializers.Initializer | None = None,
) -> LeadingDims:
    w_init = w_init or snt.initializers.VarianceScaling(scale)
    return LeadingDims(snt.Linear(size, w_init=w_init, name=name))


class CategoricalHead(snt.Module):
    """Maps features [..., H] to a categorical over K values, near uniform at first."""

    def __init__(self, num_values: int, scale: float = 1e-2, name: str = "categorical"):
        """`scale` is the variance scale of the initial weights."""
        super().__init__(name=name)
        self._logits = _small_linear(num_values, scale, "logits")

    def __call__(self, features: tf.Tensor) -> tfd.Categorical:
        """The distribution with batch shape [...]; its logits are [..., K]."""
        return tfd.Categorical(logits=self._logits(features))


class FixedStddevGaussianHead(snt.Module):
    """Maps features [..., H] to a Gaussian [..., D]: tanh on its mean, one deviation.

    The low-level head of Table 5 (stddev 0.1, actions in [-1, 1]).
    """

    def __init__(
        self,
        size: int,
        stddev: float = 0.1,
        scale: float = 1e-1,
        w_init: snt.initializers.Initializer | None = None,
        name: str = "action",
    ):
        """`scale` is the variance scale of the initial weights, unless `w_init`.

        Raises:
          ValueError: `stddev` is not positive.
        """
        super().__init__(name=name)
        if not stddev > 0.0:
            raise ValueError(f"stddev must be positive, got {stddev}")
        self.stddev = stddev
        self._mean = _small_linear(size, scale, "mean", w_init)

    def mean(self, features: tf.Tensor) -> tf.Tensor:
        """The mean [..., D] in (-1, 1)."""
        return tf.tanh(self._mean(features))

    def __call__(self, features: tf.Tensor) -> tfd.Independent:
        """The distribution with batch shape [...] and event shape [D]."""
        mean = self.mean(features)
        return tfd.Independent(
            tfd.Normal(mean, tf.fill(tf.shape(mean), self.stddev)),
            reinterpreted_batch_ndims=1,
        )
