"""MPO for a diagonal Gaussian policy, on actions sampled from the target policy.

MPO (Abdolmaleki et al., 2018, https://arxiv.org/abs/1806.06920) with the decoupled
M-step of https://arxiv.org/abs/1812.02256: the mean is fitted under the target's stddev
and the stddev under the target's mean, each with its own trust region. Value and
gradients are those of Acme's `acme/tf/losses/mpo.py`. A KL to a prior is added for the
agents that HeLMS is compared with. Pure functions: the dual variables are inputs and
belong to the learner.

Which gradient goes where:
  policy_mean, trust_region_mean -> the online mean only,
  policy_stddev, trust_region_stddev -> the online stddev only,
  prior -> the online mean and stddev,
  temperature -> the temperature only,
  penalty_temperature -> the penalty's temperature only,
  alpha_mean, alpha_stddev -> the multiplier of that name only.
Target, prior, actions and values get no gradient.

Shape letters: N sampled actions, D dimensions of an action; [...] any leading
dimensions, the same everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from agents.distributions import gaussian
from agents.losses import sampled_improvement as sampled


class GaussianMPOLoss(NamedTuple):
    """Terms of the loss, each of shape [...]; the learner minimises their sum."""

    policy_mean: tf.Tensor  # cross entropy of q and N(online mean, target stddev)
    policy_stddev: tf.Tensor  # cross entropy of q and N(target mean, online stddev)
    trust_region_mean: tf.Tensor  # alpha_mean KL(target || online mean)
    trust_region_stddev: tf.Tensor  # alpha_stddev KL(target || online stddev)
    prior: tf.Tensor  # prior_weight KL(online || prior)
    temperature: tf.Tensor  # dual of the E-step
    penalty_temperature: tf.Tensor  # dual of the penalty's E-step; 0 without a penalty
    alpha_mean: tf.Tensor  # dual of the mean's trust region
    alpha_stddev: tf.Tensor  # dual of the stddev's trust region

    def total(self) -> tf.Tensor:
        """Returns the sum of the terms [...]."""
        return tf.add_n(list(self))


class GaussianMPOStats(NamedTuple):
    """Diagnostics, each of shape [...], without gradient; KLs summed over D."""

    kl_improved: tf.Tensor  # KL(q || target), which epsilon bounds
    kl_penalty: tf.Tensor  # the penalty's KL(q || target), which epsilon_penalty bounds
    kl_mean: tf.Tensor  # KL(target || N(online mean, target stddev))
    kl_stddev: tf.Tensor  # KL(target || N(target mean, online stddev))
    kl_prior: tf.Tensor  # KL(online || prior), 0 without a prior
    q_min: tf.Tensor  # over the samples
    q_max: tf.Tensor
    stddev_min: tf.Tensor  # of the online policy, over D
    stddev_max: tf.Tensor


def gaussian_mpo(
    online_mean: tf.Tensor,
    online_stddev: tf.Tensor,
    target_mean: tf.Tensor,
    target_stddev: tf.Tensor,
    actions: tf.Tensor,
    q_values: tf.Tensor,
    temperature: tf.Tensor,
    alpha_mean: tf.Tensor,
    alpha_stddev: tf.Tensor,
    *,
    epsilon: float,
    epsilon_mean: float,
    epsilon_stddev: float,
    penalty_temperature: tf.Tensor | None = None,
    epsilon_penalty: float | None = None,
    prior: tuple[tf.Tensor, tf.Tensor] | None = None,
    prior_weight: float = 0.0,
) -> tuple[GaussianMPOLoss, GaussianMPOStats]:
    """Computes the losses of policy improvement for a diagonal Gaussian policy.

    Args:
      online_mean: [..., D], mean of the policy that is trained.
      online_stddev: [..., D], its standard deviation, positive.
      target_mean: [..., D], mean of the policy of the previous iteration.
      target_stddev: [..., D], its standard deviation, positive.
      actions: [N, ..., D], drawn from the target policy.
      q_values: [N, ...], the critic's values of these actions.
      temperature: eta > 0, scalar.
      alpha_mean: multiplier > 0 of the mean's trust region: a scalar, or [D] for a
        trust region of each dimension (Acme's default).
      alpha_stddev: the same for the stddev.
      epsilon: bound on KL(q || target) in nats.
      epsilon_mean: bound on KL(target || online mean) in nats, of the whole where
        alpha_mean is a scalar, of each dimension where it is [D].
      epsilon_stddev: the same for the stddev.
      penalty_temperature: > 0, scalar. With it, the weights of a second E-step, whose
        value is minus the distance from [-1, 1]^D, are added to those of the first, so
        that actions in bounds count for more (MO-MPO). None: no penalty.
      epsilon_penalty: bound on KL(q || target) of that second E-step in nats.
      prior: mean and stddev of a Gaussian, each [..., D]. None: no prior.
      prior_weight: weight of KL(online || prior).

    Returns:
      The loss terms and the diagnostics, per example.

    Raises:
      ValueError: shapes do not fit, a bound is not positive, a weight is negative, or
        a penalty or prior is given only in part.
    """
    policies = (online_mean, online_stddev, target_mean, target_stddev, *(prior or ()))
    for parameters in policies:
        sampled.check_samples(parameters.shape, actions, q_values)
    sampled.check_scalars(
        {
            "epsilon": epsilon,
            "epsilon_mean": epsilon_mean,
            "epsilon_stddev": epsilon_stddev,
            "epsilon_penalty": epsilon_penalty,
        },
        {"prior_weight": prior_weight},
    )
    if (penalty_temperature is None) != (epsilon_penalty is None):
        raise ValueError("penalty_temperature and epsilon_penalty go together")
    if prior is None and prior_weight > 0:
        raise ValueError(f"a prior_weight of {prior_weight} needs a prior")
    target_mean, target_stddev = map(tf.stop_gradient, (target_mean, target_stddev))
    actions, q_values = tf.stop_gradient(actions), tf.stop_gradient(q_values)

    improvement = sampled.improve(q_values, temperature, epsilon)
    weights = improvement.weights
    none = tf.zeros_like(q_values[0])
    penalty = sampled.Improvement(none, none, none)
    if penalty_temperature is not None and epsilon_penalty is not None:
        value = sampled.out_of_bounds_value(actions)
        penalty = sampled.improve(value, penalty_temperature, epsilon_penalty)
        weights += penalty.weights

    kl_mean = gaussian.kl_divergence(
        target_mean, target_stddev, online_mean, target_stddev
    )  # [..., D]
    kl_stddev = gaussian.kl_divergence(
        target_mean, target_stddev, target_mean, online_stddev
    )  # [..., D]
    trust_region_mean, dual_mean = sampled.trust_region(
        kl_mean, alpha_mean, epsilon_mean
    )
    trust_region_stddev, dual_stddev = sampled.trust_region(
        kl_stddev, alpha_stddev, epsilon_stddev
    )
    kl_prior = none
    if prior is not None:
        kl_prior = tf.reduce_sum(
            gaussian.kl_divergence(
                online_mean, online_stddev, *map(tf.stop_gradient, prior)
            ),
            axis=-1,
        )

    losses = GaussianMPOLoss(
        policy_mean=sampled.cross_entropy(
            weights, gaussian.log_prob(actions, online_mean, target_stddev)
        ),
        policy_stddev=sampled.cross_entropy(
            weights, gaussian.log_prob(actions, target_mean, online_stddev)
        ),
        trust_region_mean=trust_region_mean,
        trust_region_stddev=trust_region_stddev,
        prior=prior_weight * kl_prior,
        temperature=improvement.temperature,
        penalty_temperature=penalty.temperature,
        alpha_mean=dual_mean,
        alpha_stddev=dual_stddev,
    )
    stats = GaussianMPOStats(
        kl_improved=improvement.kl,
        kl_penalty=penalty.kl,
        kl_mean=tf.reduce_sum(kl_mean, axis=-1),
        kl_stddev=tf.reduce_sum(kl_stddev, axis=-1),
        kl_prior=kl_prior,
        q_min=tf.reduce_min(q_values, axis=0),
        q_max=tf.reduce_max(q_values, axis=0),
        stddev_min=tf.reduce_min(online_stddev, axis=-1),
        stddev_max=tf.reduce_max(online_stddev, axis=-1),
    )
    return losses, GaussianMPOStats(*map(tf.stop_gradient, stats))
