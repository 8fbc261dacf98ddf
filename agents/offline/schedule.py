"""Adam with a learning rate that decays, for offline training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf

FINAL_FRACTION = 0.1  # share of the initial learning rate at the end of the schedule


def cosine(initial: float, step: tf.Tensor, num_steps: int) -> tf.Tensor:
    """Returns the learning rate of the update after `step` updates, float32 [].

    It falls from `initial` to a tenth along half a cosine over `num_steps` updates and
    stays there.
    """
    progress = tf.minimum(tf.cast(step, tf.float32) / num_steps, 1.0)
    weight = 0.5 * (1.0 + tf.cos(math.pi * progress))
    return initial * (FINAL_FRACTION + (1.0 - FINAL_FRACTION) * weight)


class CosineAdam(snt.optimizers.Adam):
    """Adam with a learning rate on the cosine schedule.

    The rate is a function of the optimiser's own count of updates, so that training
    that resumes from a checkpoint has the same rates as training that never stopped.
    """

    def __init__(self, learning_rate: float, num_steps: int):
        """Takes the initial rate and the length of the schedule; see `cosine`."""
        super().__init__(tf.Variable(learning_rate, trainable=False, name="rate"))
        self._initial, self._num_steps = learning_rate, num_steps

    def apply(
        self, updates: Sequence[tf.Tensor], parameters: Sequence[tf.Variable]
    ) -> None:
        """Applies updates at the rate of this step."""
        rate = cosine(self._initial, self.step, self._num_steps)
        self.learning_rate.assign(rate)
        super().apply(updates, parameters)
