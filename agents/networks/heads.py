"""Heads: the last linear layer of a network, and the distribution it parameterises.

Shape letters: D event size, K categories.
"""

from __future__ import annotations

import sonnet as snt
import tensorflow as tf
import tensorflow_probability as tfp

from agents.distributions.policies import Gaussian, Hybrid
from agents.networks.torsos import LeadingDims


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
    """Head from features [..., H] to a categorical over K, initially near uniform."""

    def __init__(self, num_values: int, scale: float = 1e-2, name: str = "categorical"):
        """Takes the variance scale of the initial weights."""
        super().__init__(name=name)
        self._logits = _small_linear(num_values, scale, "logits")

    def __call__(self, features: tf.Tensor) -> tfp.distributions.Categorical:
        """Returns the distribution of batch shape [...], whose logits are [..., K]."""
        return tfp.distributions.Categorical(logits=self._logits(features))


class ActionHead(snt.Module):
    """Head from features [..., H] to p(a): tanh on the mean, one fixed deviation.

    It is the low level's head of Table 5 (stddev 0.1, actions in [-1, 1]). With a
    Bernoulli finger the same outputs give the same mean, which is 2p - 1 of the finger.
    """

    def __init__(
        self,
        size: int,
        stddev: float = 0.1,
        finger: str = "gaussian",
        scale: float = 1e-1,
        w_init: snt.initializers.Initializer | None = None,
        name: str = "action",
    ):
        """Makes the layer.

        Args:
          size: D.
          stddev: standard deviation of the Gaussian components.
          finger: distribution of the last component: gaussian or bernoulli.
          scale: variance scale of the initial weights, unless `w_init` is given.
          w_init: initialiser of the weights.
          name: name of the module.

        Raises:
          ValueError: `stddev` is not positive.
        """
        super().__init__(name=name)
        if not stddev > 0.0:
            raise ValueError(f"stddev must be positive, got {stddev}")
        self._stddev = stddev
        self._is_bernoulli = finger == "bernoulli"
        self._mean = _small_linear(size, scale, "mean", w_init)

    def __call__(self, features: tf.Tensor) -> Gaussian | Hybrid:
        """Returns the distribution [..., D], its mean in (-1, 1)."""
        outputs = self._mean(features)
        if not self._is_bernoulli:
            return self._gaussian(outputs)
        return Hybrid(self._gaussian(outputs[..., :-1]), 2.0 * outputs[..., -1])

    def _gaussian(self, outputs: tf.Tensor) -> Gaussian:
        mean = tf.tanh(outputs)
        return Gaussian(mean, tf.fill(tf.shape(mean), self._stddev))
