"""Continuous policies as tuples of tensors: what networks put out, losses read.

Shape letters: N samples, K components, D action; [...] any leading dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from agents.losses import gaussian


class Gaussian(NamedTuple):
    """A diagonal Gaussian."""

    mean: tf.Tensor  # [..., D]
    stddev: tf.Tensor  # [..., D]

    def sample(self, count: int, seed: tf.Tensor) -> tf.Tensor:
        """Draws [N, ..., D]; seed is int32 [2]."""
        shape = tf.concat([[count], tf.shape(self.mean)], axis=0)
        noise = tf.random.stateless_normal(shape, seed, dtype=self.mean.dtype)
        return self.mean + self.stddev * noise

    def mode(self) -> tf.Tensor:
        """The mean [..., D]."""
        return self.mean


class Mixture(NamedTuple):
    """A mixture of diagonal Gaussians."""

    logits: tf.Tensor  # [..., K]
    means: tf.Tensor  # [..., K, D]
    stddevs: tf.Tensor  # [..., K, D], positive

    def log_prob(self, actions: tf.Tensor) -> tf.Tensor:
        """Log density [N, ...] of actions [N, ..., D], nats."""
        components = gaussian.log_prob(
            actions[..., None, :], self.means, self.stddevs
        )  # [N, ..., K]
        weighted = tf.nn.log_softmax(self.logits) + components
        return tf.reduce_logsumexp(weighted, axis=-1)

    def sample(self, count: int, seed: tf.Tensor) -> tf.Tensor:
        """Draws [N, ..., D]: a component, then from it; seed is int32 [2]."""
        seeds = tf.random.experimental.stateless_split(seed, 2)
        shape = tf.concat([[count], tf.shape(self.logits)], axis=0)
        uniform = tf.random.stateless_uniform(
            shape, seeds[0], minval=1e-20, dtype=self.logits.dtype
        )
        # The largest of logits with Gumbel noise is a draw of the categorical.
        noisy = self.logits - tf.math.log(-tf.math.log(uniform))  # [N, ..., K]
        chosen = tf.one_hot(
            tf.argmax(noisy, axis=-1), shape[-1], dtype=self.means.dtype
        )[..., None]  # [N, ..., K, 1]
        mean = tf.reduce_sum(chosen * self.means, axis=-2)  # [N, ..., D]
        stddev = tf.reduce_sum(chosen * self.stddevs, axis=-2)
        noise = tf.random.stateless_normal(
            tf.shape(mean), seeds[1], dtype=self.means.dtype
        )
        return mean + stddev * noise

    def mode(self) -> tf.Tensor:
        """The mean of the likeliest component [..., D]."""
        component = tf.argmax(self.logits, axis=-1)
        return tf.gather(
            self.means, component, axis=-2, batch_dims=component.shape.rank
        )
