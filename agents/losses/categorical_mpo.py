"""MPO for a categorical policy, which evaluates every action and samples none.

MPO (Abdolmaleki et al., 2018, https://arxiv.org/abs/1806.06920) as the HeLMS paper uses
it for HeLMS-cat (appendix B.1, Eq. 7 to 9), with the KL to the uniform categorical of
Eq. 4, or to another prior, as one more term of policy improvement. Pure functions: the
dual variables are inputs and belong to the learner.

Which gradient goes where:
  policy, trust_region, prior -> the online policy only,
  temperature -> the temperature only,
  alpha -> the multiplier alpha only.

Shape letters: K actions (skills); [...] any leading dimensions, the same everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from agents.distributions import categorical


class CategoricalMPOLoss(NamedTuple):
    """Terms of the loss, each of shape [...]; the learner minimises their sum."""

    policy: tf.Tensor  # cross entropy of the improved policy and the online one
    trust_region: tf.Tensor  # alpha KL(target || online)
    prior: tf.Tensor  # eta_y KL(online || prior)
    temperature: tf.Tensor  # dual of the E-step
    alpha: tf.Tensor  # dual of the trust region

    def total(self) -> tf.Tensor:
        """Returns the sum of the terms [...]."""
        return tf.add_n(list(self))


class CategoricalMPOStats(NamedTuple):
    """Diagnostics, each of shape [...], without gradient."""

    kl_improved: tf.Tensor  # KL(q || target), which epsilon bounds
    kl_policy: tf.Tensor  # KL(target || online), which epsilon_policy bounds
    kl_uniform: tf.Tensor  # KL(online || uniform)
    entropy_online: tf.Tensor
    entropy_target: tf.Tensor
    q_min: tf.Tensor
    q_max: tf.Tensor


def improved_policy(
    q_values: tf.Tensor, target_logits: tf.Tensor, temperature: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Computes Eq. 8, q(y|x) proportional to pi_target(y|x) exp(Q(x, y) / eta).

    Args:
      q_values: [..., K].
      target_logits: logits of the target policy [..., K].
      temperature: eta, a positive scalar.

    Returns:
      Log probabilities of the improved policy [..., K] and the log of its normaliser
      [...], log sum_y pi_target(y|x) exp(Q(x, y) / eta). Both carry the temperature's
      gradient.
    """
    unnormalised = q_values / temperature + tf.nn.log_softmax(target_logits)
    log_normaliser = tf.reduce_logsumexp(unnormalised, axis=-1)
    return unnormalised - log_normaliser[..., None], log_normaliser


def categorical_mpo(
    online_logits: tf.Tensor,
    target_logits: tf.Tensor,
    q_values: tf.Tensor,
    temperature: tf.Tensor,
    alpha: tf.Tensor,
    *,
    epsilon: float,
    epsilon_policy: float,
    prior_weight: float | tf.Tensor = 0.0,
    prior_logits: tf.Tensor | None = None,
) -> tuple[CategoricalMPOLoss, CategoricalMPOStats]:
    """Computes the losses of policy improvement for a policy over K actions.

    Args:
      online_logits: [..., K], logits of the policy that is trained.
      target_logits: [..., K], logits of the policy of the previous iteration.
      q_values: [..., K], the critic's value of every action.
      temperature: eta > 0, scalar.
      alpha: multiplier > 0 of the trust region, scalar.
      epsilon: bound on KL(q || target) in nats.
      epsilon_policy: bound on KL(target || online) in nats.
      prior_weight: eta_y of Eq. 4, weight of KL(online || prior); a scalar tensor is
        not checked.
      prior_logits: [..., K], logits of the prior; None: the uniform, as in Eq. 4.

    Returns:
      The loss terms and the diagnostics, per example.

    Raises:
      ValueError: the shapes of logits and values differ, or a weight is negative.
    """
    if not online_logits.shape.is_compatible_with(target_logits.shape) or (
        not online_logits.shape.is_compatible_with(q_values.shape)
    ):
        raise ValueError(
            "online_logits, target_logits and q_values must have one shape, got "
            f"{online_logits.shape}, {target_logits.shape} and {q_values.shape}"
        )
    negative = not tf.is_tensor(prior_weight) and prior_weight < 0
    if epsilon <= 0 or epsilon_policy <= 0 or negative:
        raise ValueError(
            "epsilon and epsilon_policy must be positive, prior_weight not negative, "
            f"got {epsilon}, {epsilon_policy} and {prior_weight}"
        )
    q_values = tf.stop_gradient(q_values)
    target_logits = tf.stop_gradient(target_logits)
    log_online = tf.nn.log_softmax(online_logits)
    log_target = tf.nn.log_softmax(target_logits)

    log_improved, log_normaliser = improved_policy(q_values, target_logits, temperature)
    # Without this stop, fitting the policy would move the temperature too.
    log_improved = tf.stop_gradient(log_improved)

    kl_policy = categorical.kl_divergence(log_target, log_online)
    kl_uniform = categorical.kl_to_uniform(log_online)

    losses = CategoricalMPOLoss(
        policy=-tf.reduce_sum(tf.exp(log_improved) * log_online, axis=-1),
        trust_region=tf.stop_gradient(alpha) * kl_policy,
        prior=prior_weight * categorical.kl_to_prior(log_online, prior_logits),
        temperature=temperature * (epsilon + log_normaliser),
        alpha=alpha * (epsilon_policy - tf.stop_gradient(kl_policy)),
    )
    stats = CategoricalMPOStats(
        kl_improved=categorical.kl_divergence(log_improved, log_target),
        kl_policy=kl_policy,
        kl_uniform=kl_uniform,
        entropy_online=categorical.entropy(log_online),
        entropy_target=categorical.entropy(log_target),
        q_min=tf.reduce_min(q_values, axis=-1),
        q_max=tf.reduce_max(q_values, axis=-1),
    )
    return losses, CategoricalMPOStats(*map(tf.stop_gradient, stats))
