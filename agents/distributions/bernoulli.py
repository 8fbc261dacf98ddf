"""Bernoulli distributions over {-1, +1}, given by logits: likelihoods, divergences.

The logit is of +1, so that the mean 2p - 1 is tanh(logit / 2). [...] stands for any
leading dimensions, broadcast.
"""

from __future__ import annotations

import tensorflow as tf

from agents.distributions import categorical


def sign(x: tf.Tensor) -> tf.Tensor:
    """Returns +1 where x [...] is positive, else -1, as the environment reads it."""
    return tf.where(x > 0.0, tf.ones_like(x), -tf.ones_like(x))


def log_prob(x: tf.Tensor, logit: tf.Tensor) -> tf.Tensor:
    """Returns the log probability [...] of `sign(x)`, nats."""
    return tf.math.log_sigmoid(sign(x) * logit)


def kl_divergence(logit_p: tf.Tensor, logit_q: tf.Tensor) -> tf.Tensor:
    """Returns KL(p || q) [...], nats."""
    return categorical.kl_divergence(_log_probs(logit_p), _log_probs(logit_q))


def entropy(logit: tf.Tensor) -> tf.Tensor:
    """Returns the entropy [...] in nats."""
    return categorical.entropy(_log_probs(logit))


def _log_probs(logit: tf.Tensor) -> tf.Tensor:
    """Returns the log probabilities [..., 2] of -1 and +1."""
    return tf.math.log_sigmoid(tf.stack([-logit, logit], axis=-1))
