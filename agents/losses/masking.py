"""Sums over the valid steps of padded sequences. Shape letters: B batch, T time."""

from __future__ import annotations

import tensorflow as tf


def sum_valid(values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Sums values [B, T, ...] over the steps where mask [B, T] is 1: [B, ...].

    A masked step changes neither the sum nor a gradient, whatever it holds.
    """
    valid = mask > 0
    for _ in range(values.shape.rank - 2):
        valid = valid[..., None]
    # Zeroed first: a NaN would survive a product with a mask of 0.
    return tf.reduce_sum(tf.where(valid, values, tf.zeros_like(values)), axis=1)
