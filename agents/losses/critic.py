"""TD errors with an expected bootstrap, on sequences (HeLMS paper, Eq. 6: TD(0)).

Shape letters: B batch, T time (rows of a sequence), K actions (skills).

A sequence of T rows holds T - 1 transitions. Row t holds the observation x_t, the
action taken there, and the reward and discount that followed. Where an episode ends
within a sequence, the row after its last transition holds only the final observation,
and further rows are padding; `valid` is 1 in rows that hold a transition and 0 in the
others. So a bootstrap from the final observation is right whenever the environment's
discount there is not zero (a time limit), and never reads padding.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class TDLoss(NamedTuple):
    """Per-transition loss and its parts, each [B, T - 1]."""

    loss: tf.Tensor  # half the squared error, 0 where not valid
    target: tf.Tensor
    error: tf.Tensor  # target - value, 0 where not valid
    mask: tf.Tensor  # 1 for a transition


def expected_value(logits: tf.Tensor, q_values: tf.Tensor) -> tf.Tensor:
    """Returns sum_y pi(y|x) Q(x, y) [...] of logits and q_values [..., K]."""
    return tf.reduce_sum(tf.nn.softmax(logits) * q_values, axis=-1)


def value_of(q_values: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
    """Returns Q(x, y) [...] of the actions taken, int [...], in q_values [..., K]."""
    return tf.gather(q_values, action, axis=-1, batch_dims=action.shape.rank)


def n_step_td(
    value: tf.Tensor,
    next_value: tf.Tensor,
    reward: tf.Tensor,
    discount: tf.Tensor,
    valid: tf.Tensor,
    gamma: float,
    n_step: int = 1,
) -> TDLoss:
    """Computes the temporal difference of n steps, G_t - Q(x_t, y_t), where

      G_t = r_t + gamma d_t r_{t+1} + ... + gamma^n d_t ... d_{t+n-1} V'(x_{t+n}).

    A return is shorter where the sequence or its transitions end before row t + n; it
    then bootstraps from the last observation. One step is TD(0). More steps have no
    correction for the actions of an older policy.

    Args:
      value: [B, T], Q(x_t, y_t) of the online critic.
      next_value: [B, T], V'(x_t) of the target networks; row t + 1 is the bootstrap of
        row t. No gradient flows through it.
      reward: [B, T].
      discount: [B, T], the environment's; 0 where the episode terminated.
      valid: [B, T], 1 in rows with a transition.
      gamma: the agent's discount, in [0, 1].
      n_step: n, rows of rewards before the bootstrap.

    Raises:
      ValueError: gamma is outside [0, 1], n_step is not positive or a sequence has no
        transition.
    """
    if not 0.0 <= gamma <= 1.0:
        raise ValueError(f"gamma must be in [0, 1], got {gamma}")
    if n_step < 1:
        raise ValueError(f"n_step must be positive, got {n_step}")
    if value.shape.rank != 2 or (value.shape[1] is not None and value.shape[1] < 2):
        raise ValueError(f"value must be [B, T] with T of 2 or more, got {value.shape}")
    mask = valid[:, :-1]
    reward, discount = reward[:, :-1], gamma * discount[:, :-1]
    bootstrap = next_value[:, 1:]
    target = reward + discount * bootstrap
    # Whether the next row of the sequence has a transition too.
    follows = tf.pad(mask[:, 1:], [[0, 0], [0, 1]]) > 0
    for _ in range(n_step - 1):
        rest = tf.pad(target[:, 1:], [[0, 0], [0, 1]])
        target = reward + discount * tf.where(follows, rest, bootstrap)
    target = tf.stop_gradient(target)
    error = mask * (target - value[:, :-1])
    return TDLoss(0.5 * tf.square(error), target, tf.stop_gradient(error), mask)


def observed_states(valid: tf.Tensor) -> tf.Tensor:
    """Returns 1 in rows [B, T] with an observation: transitions and final ones."""
    follows = tf.concat([tf.zeros_like(valid[:, :1]), valid[:, :-1]], axis=1)
    return tf.maximum(valid, follows)


def warm_rows(start_of_episode: tf.Tensor, burn_in: int) -> tf.Tensor:
    """Returns 1 in rows [B, T] at which a recurrent critic's state is warm.

    It is warm after `burn_in` rows (R2D2, https://openreview.net/forum?id=r1lyTjAqYX),
    and in every row of a sequence that begins with its episode.

    Args:
      start_of_episode: [B, T], whether a row begins an episode.
      burn_in: rows that only warm the state.
    """
    time = tf.range(tf.shape(start_of_episode)[1])[None]  # [1, T]
    return tf.cast((time >= burn_in) | start_of_episode[:, :1], tf.float32)


def mean(values: tf.Tensor) -> tf.Tensor:
    """Returns the mean of `values`; 0 if there are none."""
    return masked_mean(values, tf.ones_like(values))


def masked_mean(values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Returns the mean of `values` where `mask` (same shape) is 1; 0 if nowhere."""
    return tf.math.divide_no_nan(tf.reduce_sum(values * mask), tf.reduce_sum(mask))
