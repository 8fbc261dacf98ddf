"""Diagonal Gaussians as pairs of tensors: densities and divergences.

Shape letters: D the last axis; [...] any leading dimensions, broadcast.
"""

from __future__ import annotations

import math

import tensorflow as tf


def log_prob(x: tf.Tensor, mean: tf.Tensor, stddev: tf.Tensor | float) -> tf.Tensor:
    """Returns the log density [...] of N(mean, diag stddev^2) at x [..., D], nats."""
    stddev = tf.convert_to_tensor(stddev, mean.dtype)
    per_dimension = 0.5 * tf.square((x - mean) / stddev) + tf.math.log(stddev)
    size = tf.cast(tf.shape(mean)[-1], mean.dtype)
    return -tf.reduce_sum(per_dimension, axis=-1) - 0.5 * math.log(2 * math.pi) * size


def kl_divergence(
    mean_p: tf.Tensor,
    stddev_p: tf.Tensor,
    mean_q: tf.Tensor | float,
    stddev_q: tf.Tensor | float,
) -> tf.Tensor:
    """Returns KL(N(mean_p, diag stddev_p^2) || N(mean_q, diag stddev_q^2)), nats.

    Returns:
      [..., D], per dimension: the KL of the joint is the sum over the last axis.
    """
    # In float32, r^2 - 1 - log r^2 of a ratio r near 1 would lose the 1e-6 that trust
    # regions look at; expm1 keeps it.
    log_ratio = tf.math.log(stddev_p / stddev_q)
    distance = tf.square((mean_p - mean_q) / stddev_q)
    return 0.5 * (distance + tf.math.expm1(2.0 * log_ratio)) - log_ratio


def kl_to_standard(mean: tf.Tensor, stddev: tf.Tensor) -> tf.Tensor:
    """Returns KL(N(mean, diag stddev^2) || N(0, I)) per dimension [..., D], nats."""
    return kl_divergence(mean, stddev, 0.0, 1.0)
