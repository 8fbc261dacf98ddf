"""E-step and trust regions of MPO on sampled actions, for any kind of policy.

MPO (Abdolmaleki et al., 2018, https://arxiv.org/abs/1806.06920) with the dual losses
as in https://arxiv.org/abs/1812.02256, and the penalty of actions out of bounds as a
second objective of MO-MPO (Abdolmaleki et al., 2020, https://arxiv.org/abs/2005.07513).

Shape letters: N sampled actions, D dimensions of an action; [...] any leading
dimensions, the same everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Improvement(NamedTuple):
    """Improved policy q on the sampled actions, and the loss of its temperature."""

    weights: tf.Tensor  # [N, ...], sum to 1 over N; no gradient
    temperature: tf.Tensor  # [...] dual of the E-step; trains the temperature only
    kl: tf.Tensor  # [...] KL(q || target) estimated on the samples, no gradient


def improve(q_values: tf.Tensor, temperature: tf.Tensor, epsilon: float) -> Improvement:
    """Computes the E-step: weights of N actions that the target policy drew.

    Args:
      q_values: [N, ...] of the actions; no gradient flows into them.
      temperature: eta > 0, scalar.
      epsilon: bound on KL(q || target) in nats.

    Returns:
      The policy q, proportional to exp(Q / eta) on the samples, whose distribution is
      the target's.
    """
    num_samples = tf.cast(tf.shape(q_values)[0], q_values.dtype)
    tempered = tf.stop_gradient(q_values) / temperature
    log_normaliser = tf.reduce_logsumexp(tempered, axis=0)  # [...]
    # Without this stop, fitting the policy would move the temperature too.
    log_weights = tf.stop_gradient(tempered - log_normaliser)
    weights = tf.exp(log_weights)
    log_num_samples = tf.math.log(num_samples)
    return Improvement(
        weights=weights,
        temperature=temperature * (epsilon + log_normaliser - log_num_samples),
        kl=tf.reduce_sum(weights * (log_weights + log_num_samples), axis=0),
    )


def out_of_bounds_value(actions: tf.Tensor) -> tf.Tensor:
    """Returns minus the distance [N, ...] of actions [N, ..., D] from [-1, 1]^D."""
    return -tf.norm(actions - tf.clip_by_value(actions, -1.0, 1.0), axis=-1)


def cross_entropy(weights: tf.Tensor, log_prob: tf.Tensor) -> tf.Tensor:
    """Returns minus the weighted log likelihood [...]; both arguments are [N, ...]."""
    return -tf.reduce_sum(weights * log_prob, axis=0)


def trust_region(
    kl: tf.Tensor, multiplier: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Computes the Lagrangian of KL <= epsilon, for the policy and the multiplier.

    Args:
      kl: [..., D], parts that add up to the divergence.
      multiplier: > 0. A scalar bounds the sum over the last axis by epsilon; a
        multiplier [D] bounds each part by epsilon.
      epsilon: the bound in nats.

    Returns:
      The penalty [...], which trains the policy only, and the dual [...], which trains
      the multiplier only.

    Raises:
      ValueError: the multiplier is neither a scalar nor [D].
    """
    if multiplier.shape.rank == 0:
        kl = tf.reduce_sum(kl, axis=-1, keepdims=True)
    elif not multiplier.shape.is_compatible_with(kl.shape[-1:]):
        raise ValueError(
            "a trust region's multiplier must be a scalar or have one value for each "
            f"of the last axis of the KL {kl.shape}, got {multiplier.shape}"
        )
    penalty = tf.stop_gradient(multiplier) * kl
    dual = multiplier * (epsilon - tf.stop_gradient(kl))
    return tf.reduce_sum(penalty, axis=-1), tf.reduce_sum(dual, axis=-1)


def check_samples(
    shape: tf.TensorShape, actions: tf.Tensor, q_values: tf.Tensor
) -> None:
    """Raises ValueError unless the shapes are [..., D], [N, ..., D] and [N, ...]."""
    if not (
        actions.shape[1:].is_compatible_with(shape)
        and q_values.shape.is_compatible_with(actions.shape[:-1])
    ):
        raise ValueError(
            "policy, actions and q_values must be [..., D], [N, ..., D] and [N, ...], "
            f"got {shape}, {actions.shape} and {q_values.shape}"
        )


def check_scalars(
    positive: dict[str, float | None], weights: dict[str, float | tf.Tensor]
) -> None:
    """Raises ValueError, naming it, for a bound <= 0 or a negative weight.

    Does not check a weight that is a tensor.
    """
    for name, value in positive.items():
        if value is not None and value <= 0:
            raise ValueError(f"{name} must be positive, got {value}")
    for name, value in weights.items():
        if not tf.is_tensor(value) and value < 0:
            raise ValueError(f"{name} must not be negative, got {value}")
