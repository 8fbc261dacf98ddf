"""Evidence lower bound of HeLMS, Eq. 3 and 13 of arXiv:2112.05062.

Shape letters: B batch, T time, K skills. A matrix over skills has rows y_{t-1} and
columns y_t. No skill is sampled: the sum over all skill sequences is exact.

Probabilities come from log-softmax and are only averaged, never divided and never put
in a logarithm again, so a skill whose probability underflows to 0 costs no accuracy.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class ElboStats(NamedTuple):
    """Parts of the bound, summed over valid steps; elbo = a - beta_z b - beta_y c.

    `marginals` and `switches` are no parts of the bound.
    """

    log_likelihood: tf.Tensor  # [B] a: expected log p(a_t | z_t, x_t), nats
    latent_kl: tf.Tensor  # [B] b: expected KL(q(z_t | y_t, x_t) || N(0, I)), nats
    categorical_kl: tf.Tensor  # [B] c: expected KL(q(y_t | y_{t-1}, x_t) || p), nats
    marginals: tf.Tensor  # [B, T, K] q(y_t | x_{1:t}); uniform at masked steps
    switches: tf.Tensor  # [B] expected number of t > 1 with y_t other than y_{t-1}


def skill_marginals(transitions: tf.Tensor) -> tf.Tensor:
    """Computes the cumulative component probability q(y_t | x_{1:t}), Eq. 13.

    Args:
      transitions: [B, T, K, K], probabilities q(y_t | y_{t-1}, x_t), T static.

    Returns:
      [B, T + 1, K]; entry 0 is the uniform p(y_0), entry t is q(y_t | x_{1:t}).

    Raises:
      ValueError: the shape is not static, or the last two sizes differ.
    """
    num_steps, num_skills = transitions.shape[1], transitions.shape[-1]
    if transitions.shape.rank != 4 or transitions.shape[2] != num_skills:
        raise ValueError(f"transitions must be [B, T, K, K], got {transitions.shape}")
    if num_steps is None or num_skills is None:
        raise ValueError(f"T and K must be static, got {transitions.shape}")
    marginal = tf.fill(
        [tf.shape(transitions)[0], num_skills],
        tf.constant(1.0 / num_skills, transitions.dtype),
    )
    marginals = [marginal]
    # Unrolled: T is small, and XLA cannot compile the slower loop in the graph. Each
    # step is a product of B row vectors with B matrices.
    for transition in tf.unstack(transitions, axis=1):
        marginal = tf.reduce_sum(marginal[:, :, None] * transition, axis=1)
        marginals.append(marginal)
    return tf.stack(marginals, axis=1)


def helms_elbo(
    log_likelihood: tf.Tensor,
    latent_kl: tf.Tensor,
    posterior_logits: tf.Tensor,
    prior_logits: tf.Tensor,
    mask: tf.Tensor,
    beta_y: float = 1.0,
    beta_z: float = 0.1,
) -> tuple[tf.Tensor, ElboStats]:
    """Computes the bound of each sequence.

    Args:
      log_likelihood: [B, T, K] log p(a_t | z^{y}, x_t) with z^{y} drawn from
        q(z | y, x_t) by reparametrisation, nats.
      latent_kl: [B, T, K] KL(q(z | y, x_t) || N(0, I)), nats.
      posterior_logits: [B, T, K, K], logits of q(y_t | y_{t-1}, x_t).
      prior_logits: [K, K], logits of p(y_t | y_{t-1}).
      mask: [B, T], 1 at valid steps; the zeros are a suffix of each sequence. A masked
        step changes neither the bound nor a gradient, whatever it holds.
      beta_y: weight of the categorical KL.
      beta_z: weight of the latent KL.

    Returns:
      The bound [B], summed over valid steps, and its parts.

    Raises:
      ValueError: T or K is not static, or the logits are not square in K.
    """
    valid = mask > 0
    # Zeroed before any arithmetic: a NaN would survive a product with a mask of 0.
    log_likelihood = _clear(log_likelihood, valid[..., None])
    latent_kl = _clear(latent_kl, valid[..., None])
    posterior_logits = _clear(posterior_logits, valid[..., None, None])

    log_posterior = tf.nn.log_softmax(posterior_logits)  # [B, T, K, K]
    log_prior = tf.nn.log_softmax(prior_logits)  # [K, K]
    posterior = tf.exp(log_posterior)
    marginals = skill_marginals(posterior)  # [B, T + 1, K]
    previous, current = marginals[:, :-1], marginals[:, 1:]

    transition_kl = tf.reduce_sum(posterior * (log_posterior - log_prior), axis=-1)
    transition_kl = _clear(transition_kl, valid[..., None])  # [B, T, K]
    # y_0 is uniform, so a switch at the first step says nothing.
    leaves = _clear(1.0 - tf.linalg.diag_part(posterior), valid[..., None])[:, 1:]

    def expectation(weights: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(weights * values, axis=[1, 2])

    stats = ElboStats(
        log_likelihood=expectation(current, log_likelihood),
        latent_kl=expectation(current, latent_kl),
        categorical_kl=expectation(previous, transition_kl),
        marginals=current,
        switches=expectation(previous[:, 1:], leaves),
    )
    bound = (
        stats.log_likelihood - beta_z * stats.latent_kl - beta_y * stats.categorical_kl
    )
    return bound, stats


def masked_marginals(marginals: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Returns q(y_t | x_{1:t}) [B, T, K] with 0 where the mask [B, T] is 0."""
    return _clear(marginals, mask[..., None] > 0)


def mean_use(marginals: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Returns the mean [K] of q(y_t | x_{1:t}) over the valid steps of a batch."""
    total = tf.reduce_sum(masked_marginals(marginals, mask), axis=[0, 1])
    return total / tf.maximum(tf.reduce_sum(mask), 1.0)


def _clear(values: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    return tf.where(valid, values, tf.zeros_like(values))
