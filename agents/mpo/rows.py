"""Choice of the rows of a batch that train, so that only these are evaluated.

Shape letters: B batch, T time, R chosen rows, N samples.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf


class Rows(NamedTuple):
    """Chosen rows of a batch [B, T], in order; R differs from batch to batch."""

    index: tf.Tensor  # int32 [R], into the rows as [B * T]
    shape: tf.Tensor  # int32 [2]: B and T

    @classmethod
    def where(cls, mask: tf.Tensor) -> Rows:
        """Chooses the rows where mask [B, T] is not 0."""
        index = tf.where(tf.reshape(mask, [-1]) > 0)[:, 0]
        return cls(tf.cast(index, tf.int32), tf.shape(mask))

    def take(self, values: Any, axis: int = 0) -> Any:
        """Returns the chosen rows [R, ...] of tensors [B, T, ...], nested or not.

        Args:
          values: tensors of static rank.
          axis: axis of B; 1 turns [N, B, T, ...] into [N, R, ...].
        """

        def take(tensor: tf.Tensor) -> tf.Tensor:
            before, after = tensor.shape[:axis], tensor.shape[axis + 2 :]
            dynamic = tf.shape(tensor)
            flat = tf.reshape(
                tensor, tf.concat([dynamic[:axis], [-1], dynamic[axis + 2 :]], axis=0)
            )
            flat.set_shape([*before, None, *after])
            return tf.gather(flat, self.index, axis=axis)

        return tf.nest.map_structure(take, values)

    def put(self, values: tf.Tensor) -> tf.Tensor:
        """Returns values [R] in their places in [B, T], 0 in the other rows."""
        size = tf.reduce_prod(self.shape, keepdims=True)
        flat = tf.scatter_nd(self.index[:, None], values, size)
        return tf.reshape(flat, self.shape)
