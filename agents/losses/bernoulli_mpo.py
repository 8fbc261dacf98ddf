"""M-step of MPO for the Bernoulli component of a hybrid action.

Hybrid MPO (Neunert et al., 2020, https://arxiv.org/abs/2001.00449): whole actions are
drawn from the target policy and weighed by one E-step; the M-step fits the weighted
likelihood of the Gaussian components (`gaussian_mpo`) and, with a trust region of its
own, of the Bernoulli. Pure functions: the multiplier is an input and belongs to the
learner.

Which gradient goes where:
  policy_finger, trust_region_finger, prior_finger -> the online logit only,
  alpha_finger -> the multiplier only.

Shape letters: N sampled actions; [...] any leading dimensions, the same everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from agents.distributions import bernoulli
from agents.losses import sampled_improvement as sampled


class BernoulliMPOLoss(NamedTuple):
    """Terms of the loss, each of shape [...]; the learner minimises their sum."""

    policy_finger: tf.Tensor  # cross entropy of q and the online Bernoulli
    trust_region_finger: tf.Tensor  # alpha KL(target || online)
    prior_finger: tf.Tensor  # prior_weight KL(online || prior)
    alpha_finger: tf.Tensor  # dual of the trust region

    def total(self) -> tf.Tensor:
        """Returns the sum of the terms [...]."""
        return tf.add_n(list(self))


class BernoulliMPOStats(NamedTuple):
    """Diagnostics, each of shape [...], without gradient."""

    kl_finger: tf.Tensor  # KL(target || online), which epsilon bounds
    kl_prior_finger: tf.Tensor  # KL(online || prior), 0 without a prior
    entropy_finger: tf.Tensor  # of the online Bernoulli


def bernoulli_mpo(
    online_logit: tf.Tensor,
    target_logit: tf.Tensor,
    fingers: tf.Tensor,
    weights: tf.Tensor,
    alpha: tf.Tensor,
    *,
    epsilon: float,
    prior_logit: tf.Tensor | None = None,
    prior_weight: float = 0.0,
) -> tuple[BernoulliMPOLoss, BernoulliMPOStats]:
    """Computes the losses of the M-step for a Bernoulli over {-1, +1}.

    Args:
      online_logit: [...], logit of the policy that is trained.
      target_logit: [...], logit of the policy of the previous iteration.
      fingers: [N, ...], drawn from the target policy; only the sign counts.
      weights: [N, ...], the E-step's weights of the actions that have these fingers.
      alpha: multiplier > 0 of the trust region, scalar.
      epsilon: bound on KL(target || online) in nats.
      prior_logit: [...], logit of the prior; None: no prior.
      prior_weight: weight of KL(online || prior).

    Returns:
      The loss terms and the diagnostics, per example.

    Raises:
      ValueError: shapes do not fit, epsilon is not positive, the weight is negative, or
        is positive without a prior.
    """
    for logit in (online_logit, target_logit, prior_logit):
        if logit is not None and not (
            fingers.shape[1:].is_compatible_with(logit.shape)
            and weights.shape.is_compatible_with(fingers.shape)
        ):
            raise ValueError(
                "logits must be [...], fingers and weights [N, ...], got "
                f"{logit.shape}, {fingers.shape} and {weights.shape}"
            )
    sampled.check_scalars({"epsilon": epsilon}, {"prior_weight": prior_weight})
    if prior_logit is None and prior_weight > 0:
        raise ValueError(f"a prior_weight of {prior_weight} needs a prior")
    target_logit, fingers, weights = map(
        tf.stop_gradient, (target_logit, fingers, weights)
    )
    kl = bernoulli.kl_divergence(target_logit, online_logit)
    trust_region, dual = sampled.trust_region(kl[..., None], alpha, epsilon)
    kl_prior = tf.zeros_like(online_logit)
    if prior_logit is not None:
        kl_prior = bernoulli.kl_divergence(online_logit, tf.stop_gradient(prior_logit))
    losses = BernoulliMPOLoss(
        policy_finger=sampled.cross_entropy(
            weights, bernoulli.log_prob(fingers, online_logit)
        ),
        trust_region_finger=trust_region,
        prior_finger=prior_weight * kl_prior,
        alpha_finger=dual,
    )
    stats = BernoulliMPOStats(kl, kl_prior, bernoulli.entropy(online_logit))
    return losses, BernoulliMPOStats(*map(tf.stop_gradient, stats))
