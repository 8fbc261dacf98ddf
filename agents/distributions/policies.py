"""Continuous policies as tuples of tensors, which networks return and losses read.

Shape letters: N samples, K components, D action; [...] any leading dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from agents.distributions import bernoulli, categorical, gaussian

# Distributions of an action's last component, of which the environment reads only the
# sign: the paper's Gaussian, or a Bernoulli over {-1, +1}.
FINGERS = ("gaussian", "bernoulli")


class Gaussian(NamedTuple):
    """Diagonal Gaussian."""

    mean: tf.Tensor  # [..., D]
    stddev: tf.Tensor  # [..., D]

    def log_prob(self, actions: tf.Tensor) -> tf.Tensor:
        """Returns the log density [(N,) ...] of actions [(N,) ..., D], nats."""
        return gaussian.log_prob(actions, self.mean, self.stddev)

    def sample(self, count: int, seed: tf.Tensor) -> tf.Tensor:
        """Draws [N, ..., D]; seed is int32 [2]."""
        return self.at(self.noise(count, tf.shape(self.mean)[:-1], seed))

    def noise(self, count: int, shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Draws the noise that `at` takes: standard normal [N, *shape, D]."""
        shape = tf.concat([[count], shape, self.mean.shape[-1:]], axis=0)
        return tf.random.stateless_normal(shape, seed, dtype=self.mean.dtype)

    def at(self, noise: tf.Tensor) -> tf.Tensor:
        """Returns the draws [N, ..., D] that `noise` [N, ..., D] makes."""
        return self.mean + self.stddev * noise

    def mode(self) -> tf.Tensor:
        """Returns the mean [..., D]."""
        return self.mean


class Hybrid(NamedTuple):
    """Gaussian over all components of an action but the last, a Bernoulli over that.

    The last is the finger's, of which the environment reads only the sign. D counts it.
    """

    gaussian: Gaussian  # [..., D - 1]
    logit: tf.Tensor  # [...], of +1 against -1 in the last component

    @property
    def mean(self) -> tf.Tensor:
        """Mean [..., D]; the last component is 2p - 1, whose sign is the logit's."""
        return self._joined(self.gaussian.mean, tf.tanh(0.5 * self.logit))

    def log_prob(self, actions: tf.Tensor) -> tf.Tensor:
        """Returns the log likelihood [(N,) ...] of actions [(N,) ..., D], nats.

        The last component counts by the probability of its sign.
        """
        return self.gaussian.log_prob(actions[..., :-1]) + bernoulli.log_prob(
            actions[..., -1], self.logit
        )

    def sample(self, count: int, seed: tf.Tensor) -> tf.Tensor:
        """Draws N actions [N, ..., D], whose last value is -1 or +1."""
        return self.at(self.noise(count, tf.shape(self.logit), seed))

    def noise(
        self, count: int, shape: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws the noise of `at`: normal [N, *shape, D - 1], uniform [N, *shape]."""
        seeds = tf.random.experimental.stateless_split(seed, 2)
        normal = self.gaussian.noise(count, shape, seeds[0])
        return normal, tf.random.stateless_uniform(
            tf.concat([[count], shape], axis=0), seeds[1], dtype=self.logit.dtype
        )

    def at(self, noise: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Returns the draws [N, ..., D] that `noise` makes."""
        normal, uniform = noise
        last = bernoulli.sign(tf.sigmoid(self.logit) - uniform)
        return self._joined(self.gaussian.at(normal), last)

    def mode(self) -> tf.Tensor:
        """Returns the mode [..., D]."""
        return self._joined(self.gaussian.mean, bernoulli.sign(self.logit))

    @staticmethod
    def _joined(continuous: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        return tf.concat([continuous, last[..., None]], axis=-1)


class Mixture(NamedTuple):
    """Mixture of diagonal Gaussians."""

    logits: tf.Tensor  # [..., K]
    means: tf.Tensor  # [..., K, D]
    stddevs: tf.Tensor  # [..., K, D], positive

    def log_prob(self, actions: tf.Tensor) -> tf.Tensor:
        """Returns the log density [N, ...] of actions [N, ..., D], nats."""
        components = gaussian.log_prob(
            actions[..., None, :], self.means, self.stddevs
        )  # [N, ..., K]
        weighted = tf.nn.log_softmax(self.logits) + components
        return tf.reduce_logsumexp(weighted, axis=-1)

    def sample(self, count: int, seed: tf.Tensor) -> tf.Tensor:
        """Draws [N, ..., D], each from a drawn component; seed is int32 [2]."""
        return self.at(self.noise(count, tf.shape(self.logits)[:-1], seed))

    def noise(
        self, count: int, shape: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws the noise of `at`: uniform [N, *shape, K], normal [N, *shape, D]."""
        seeds = tf.random.experimental.stateless_split(seed, 2)
        num_components, size = self.means.shape[-2:]
        shape = tf.concat([[count], shape], axis=0)
        normal = tf.random.stateless_normal(
            tf.concat([shape, [size]], axis=0), seeds[1], dtype=self.means.dtype
        )
        return categorical.uniform(
            tf.concat([shape, [num_components]], axis=0), seeds[0]
        ), normal

    def at(self, noise: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Returns the draws [N, ..., D] that `noise` makes."""
        uniform, normal = noise
        component = categorical.perturbed_argmax(self.logits, uniform)  # [N, ...]
        num_components, size = self.means.shape[-2:]
        # Index among all states' components, and where each state's components begin.
        first = num_components * tf.range(tf.size(component[0]), dtype=component.dtype)
        index = component + tf.reshape(first, tf.shape(component)[1:])
        mean, stddev = (
            tf.gather(tf.reshape(part, [-1, size]), index)
            for part in (self.means, self.stddevs)
        )  # [N, ..., D]
        return mean + stddev * normal

    def mode(self) -> tf.Tensor:
        """Returns the mean of the likeliest component [..., D]."""
        component = tf.argmax(self.logits, axis=-1)
        return tf.gather(
            self.means, component, axis=-2, batch_dims=component.shape.rank
        )
