"""Categoricals given by logits or log probabilities: draws, divergences, entropy.

Shape letters: N samples, K categories; [...] any leading dimensions.
"""

from __future__ import annotations

import tensorflow as tf


def kl_divergence(log_p: tf.Tensor, log_q: tf.Tensor) -> tf.Tensor:
    """Returns KL(p || q) [...] of categoricals given by log probabilities [..., K]."""
    return tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=-1)


def kl_to_uniform(log_p: tf.Tensor) -> tf.Tensor:
    """Returns KL(p || uniform) [...] of a categorical of log probabilities [..., K]."""
    num_actions = tf.cast(tf.shape(log_p)[-1], log_p.dtype)
    return kl_divergence(log_p, -tf.math.log(num_actions))


def kl_to_prior(log_p: tf.Tensor, prior_logits: tf.Tensor | None) -> tf.Tensor:
    """Returns KL(p || prior) [...] of log_p [..., K]; a prior of None is the uniform.

    No gradient flows into `prior_logits` [..., K].
    """
    if prior_logits is None:
        return kl_to_uniform(log_p)
    log_prior = tf.nn.log_softmax(tf.stop_gradient(prior_logits))
    return kl_divergence(log_p, log_prior)


def entropy(log_p: tf.Tensor) -> tf.Tensor:
    """Returns the entropy [...] of log probabilities [..., K], nats."""
    return -tf.reduce_sum(tf.exp(log_p) * log_p, axis=-1)


def sample(logits: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Draws int64 [N, ...] from logits [..., K]; seed is int32 [2]."""
    shape = tf.concat([[count], tf.shape(logits)], axis=0)
    return perturbed_argmax(logits, uniform(shape, seed))


def uniform(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws uniform values in (0, 1), for `perturbed_argmax`."""
    return tf.random.stateless_uniform(shape, seed, minval=1e-20)


def perturbed_argmax(logits: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Draws from the categorical as the argmax of logits with Gumbel noise."""
    return tf.argmax(logits - tf.math.log(-tf.math.log(uniform)), axis=-1)
