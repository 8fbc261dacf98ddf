"""Bound of a model with one Gaussian latent per step and an AR(1) prior on it.

This is the bound of NPMP (arXiv:1811.11711, Eq. 3); with coefficient 0 the prior is
N(0, I).

Shape letters: B batch, T time, Z latent.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from agents.distributions import gaussian
from agents.losses.masking import sum_valid


class LatentElboStats(NamedTuple):
    """Parts of the bound, summed over valid steps; elbo = a - beta_z b."""

    log_likelihood: tf.Tensor  # [B] a: log p(a_t | z_t, x_t) of the draw, nats
    latent_kl: tf.Tensor  # [B] b: KL(q(z_t | z_{t-1}, x_t) || p(z_t | z_{t-1})), nats


def ar1_kl(
    mean: tf.Tensor, stddev: tf.Tensor, latent: tf.Tensor, coefficient: float
) -> tf.Tensor:
    """Computes the KL of posteriors to the AR(1) prior, given the last step's draw.

    The prior is p(z_t | z_{t-1}) = N(c z_{t-1}, (1 - c^2) I). Its stationary
    distribution is N(0, I), which is the prior of a window's first z, whose predecessor
    is not known.

    Args:
      mean: [B, T, Z], of q(z_t | z_{t-1}, x_t).
      stddev: [B, T, Z], of q(z_t | z_{t-1}, x_t).
      latent: [B, T, Z], draws from q(z_t | z_{t-1}, x_t).
      coefficient: c, in [0, 1).

    Returns:
      [B, T, Z] in nats, per dimension; gradients flow through the draws too.

    Raises:
      ValueError: the coefficient is not in [0, 1).
    """
    if not 0.0 <= coefficient < 1.0:
        raise ValueError(f"coefficient must be in [0, 1), got {coefficient}")
    previous = tf.concat([tf.zeros_like(latent[:, :1]), latent[:, :-1]], axis=1)
    after = tf.fill(
        tf.shape(latent[:, 1:]), tf.constant((1.0 - coefficient**2) ** 0.5, mean.dtype)
    )
    prior_stddev = tf.concat([tf.ones_like(latent[:, :1]), after], axis=1)
    return gaussian.kl_divergence(mean, stddev, coefficient * previous, prior_stddev)


def latent_elbo(
    log_likelihood: tf.Tensor,
    latent_kl: tf.Tensor,
    mask: tf.Tensor,
    beta_z: float = 0.1,
) -> tuple[tf.Tensor, LatentElboStats]:
    """Computes the bound of each sequence.

    Args:
      log_likelihood: [B, T], log p(a_t | z_t, x_t) of one draw z_t, nats.
      latent_kl: [B, T], the KL of each step, nats.
      mask: [B, T], 1 at valid steps. A masked step changes neither the bound nor a
        gradient, whatever it holds.
      beta_z: weight of the KL.

    Returns:
      The bound [B], summed over valid steps, and its parts.
    """
    stats = LatentElboStats(sum_valid(log_likelihood, mask), sum_valid(latent_kl, mask))
    return stats.log_likelihood - beta_z * stats.latent_kl, stats
