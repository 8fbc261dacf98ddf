"""Continuous policies as tuples of tensors: what networks put out, losses read.

Shape letters: N samples, K components, D action; [...] any leading dimensions.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import NamedTuple

import sonnet as snt
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
        component = sample_categorical(self.logits, count, seeds[0])  # [N, ...]
        chosen = tf.one_hot(
            component, tf.shape(self.logits)[-1], dtype=self.means.dtype
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


def sample_categorical(logits: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Draws int64 [N, ...] of logits [..., K]; seed is int32 [2]."""
    shape = tf.concat([[count], tf.shape(logits)], axis=0)
    uniform = tf.random.stateless_uniform(shape, seed, minval=1e-20, dtype=logits.dtype)
    # The largest of logits with Gumbel noise is a draw of the categorical.
    return tf.argmax(logits - tf.math.log(-tf.math.log(uniform)), axis=-1)


class PolicyNetwork(snt.Module, abc.ABC):
    """pi(.|x) of an observation, name -> [..., n]."""

    @abc.abstractmethod
    def __call__(self, observation: Mapping[str, tf.Tensor]) -> Gaussian | Mixture:
        """The distribution [..., D]."""

    def draw(self, observation: Mapping[str, tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        """One draw [..., D], for acting; seed is int32 [2]."""
        return self(observation).sample(1, seed)[0]

    def mode(self, observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The likeliest [..., D], for acting."""
        return self(observation).mode()
