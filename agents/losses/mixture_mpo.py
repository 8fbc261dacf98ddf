"""MPO for a mixture of diagonal Gaussians (RHPO), on actions sampled from the target.

RHPO (Wulfmeier et al., 2020, https://arxiv.org/abs/1906.11228) as the HeLMS paper uses
it for HeLMS-mix (appendix B.2, Eq. 10), with the two KL terms of Eq. 5 as terms of
policy improvement. The E-step is MPO's. Pure functions: the dual variables are inputs
and belong to the learner.

The M-step fits the likelihood of the whole mixture (not that of a component that was
drawn with the action) and is decoupled into three terms. Each takes one of the three
blocks of parameters from the online policy and the other two from the target:
  categorical: sum_y online(y) N(target mean_y, target stddev_y),
  mean:        sum_y target(y) N(online mean_y, target stddev_y),
  stddev:      sum_y target(y) N(target mean_y, online stddev_y).
This extends MPO's decoupling of mean and stddev (https://arxiv.org/abs/1812.02256) to a
third block. Compared with online weights in the terms of mean and stddev it has two
merits: each multiplier weighs one likelihood against the divergence of the same
parameters; and where online and target agree, the three gradients add up to that of the
mixture's likelihood, while online weights would count their own gradient twice. The
HeLMS paper names the three bounds but not these terms. The categorical term has the
target's own cross entropy, a constant, subtracted, so it is 0 where the weights equal
the target's. It is 0 for K = 1, where the loss equals that of `gaussian_mpo` except for
the dual of alpha_categorical, which then has no divergence to weigh.

The trust regions of mean and stddev bound the plain sum over components, as in Eq. 10,
not the sum weighted by the target's categorical, as in the chain rule. The plain sum
bounds the weighted one, and it also holds a component that the high level does not use
in a state; a weight near 0 would let that component drift.

Which gradient goes where:
  policy_categorical, trust_region_categorical, prior_categorical -> online logits only,
  policy_mean, trust_region_mean -> the online means only,
  policy_stddev, trust_region_stddev -> the online stddevs only,
  prior_components -> the online means and stddevs,
  temperature -> the temperature only,
  alpha_categorical, alpha_mean, alpha_stddev -> the multiplier of that name only.
Target, prior, actions and values get no gradient.

Shape letters: N sampled actions, K components (skills), D dimensions of an action;
[...] any leading dimensions, the same everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from agents.distributions import categorical, gaussian
from agents.distributions.policies import Mixture
from agents.losses import sampled_improvement as sampled


class MixtureMPOLoss(NamedTuple):
    """Terms of the loss, each of shape [...]; the learner minimises their sum."""

    policy_categorical: tf.Tensor  # cross entropy of q and the mixture of new weights
    policy_mean: tf.Tensor  # cross entropy of q and the mixture of new means
    policy_stddev: tf.Tensor  # cross entropy of q and the mixture of new stddevs
    trust_region_categorical: tf.Tensor  # alpha_categorical KL(target || online)
    trust_region_mean: tf.Tensor  # alpha_mean sum_y KL(target_y || online mean_y)
    trust_region_stddev: tf.Tensor  # alpha_stddev sum_y KL(target_y || online stddev_y)
    prior_categorical: tf.Tensor  # eta_y KL(online || prior)
    prior_components: tf.Tensor  # eta_z sum_y KL(online_y || prior_y)
    temperature: tf.Tensor  # dual of the E-step
    alpha_categorical: tf.Tensor  # duals of the trust regions
    alpha_mean: tf.Tensor
    alpha_stddev: tf.Tensor

    def total(self) -> tf.Tensor:
        """Returns the sum of the terms [...]."""
        return tf.add_n(list(self))


class MixtureMPOStats(NamedTuple):
    """Diagnostics of a mixture's improvement, each of shape [...], without gradient.

    A KL of components is summed over K and D.
    """

    kl_improved: tf.Tensor  # KL(q || target), which epsilon bounds
    kl_categorical: tf.Tensor  # KL(target || online), bounded by epsilon_categorical
    kl_mean: tf.Tensor  # sum_y KL(target_y || N(online mean_y, target stddev_y))
    kl_stddev: tf.Tensor  # sum_y KL(target_y || N(target mean_y, online stddev_y))
    kl_uniform: tf.Tensor  # KL(online || uniform) of the categorical
    kl_prior: tf.Tensor  # sum_y KL(online_y || prior_y), 0 without a prior
    entropy_online: tf.Tensor  # of the categorical
    entropy_target: tf.Tensor
    q_min: tf.Tensor  # over the samples
    q_max: tf.Tensor
    stddev_min: tf.Tensor  # of the online components, over K and D
    stddev_max: tf.Tensor


def mixture_mpo(
    online: Mixture,
    target: Mixture,
    actions: tf.Tensor,
    q_values: tf.Tensor,
    temperature: tf.Tensor,
    alpha_categorical: tf.Tensor,
    alpha_mean: tf.Tensor,
    alpha_stddev: tf.Tensor,
    *,
    epsilon: float,
    epsilon_categorical: float,
    epsilon_mean: float,
    epsilon_stddev: float,
    categorical_prior_weight: float | tf.Tensor = 0.0,
    categorical_prior_logits: tf.Tensor | None = None,
    prior: tuple[tf.Tensor, tf.Tensor] | None = None,
    component_prior_weight: float = 0.0,
) -> tuple[MixtureMPOLoss, MixtureMPOStats]:
    """Computes the losses of policy improvement for a mixture of diagonal Gaussians.

    Args:
      online: the policy that is trained.
      target: the policy of the previous iteration.
      actions: [N, ..., D], drawn from the target policy.
      q_values: [N, ...], the critic's values of these actions.
      temperature: eta > 0, scalar.
      alpha_categorical: multiplier > 0 of the categorical's trust region, scalar.
      alpha_mean: multiplier > 0 of the means' trust region: a scalar, or [D] for a
        trust region of each dimension.
      alpha_stddev: the same for the stddevs.
      epsilon: bound on KL(q || target) in nats.
      epsilon_categorical: bound on KL(target || online) of the categorical in nats
        (1.0 in Table 5 of the HeLMS paper).
      epsilon_mean: bound on sum_y KL(target_y || online mean_y) in nats (5e-3 there),
        of the whole where alpha_mean is a scalar, of each dimension where it is [D].
      epsilon_stddev: the same for the stddevs (1e-4 there).
      categorical_prior_weight: eta_y of Eq. 5, weight of KL(online || prior).
      categorical_prior_logits: [..., K] of that prior; None: the uniform, as in Eq. 5.
      prior: means and stddevs of the frozen components, each [..., K, D]. None: no
        prior.
      component_prior_weight: eta_z of Eq. 5, weight of sum_y KL(online_y || prior_y).

    Returns:
      The loss terms and the diagnostics, per example.

    Raises:
      ValueError: shapes do not fit, a bound is not positive, a weight is negative, or
        is positive without a prior.
    """
    _check_shapes(online, target, prior, actions, q_values)
    sampled.check_scalars(
        {
            "epsilon": epsilon,
            "epsilon_categorical": epsilon_categorical,
            "epsilon_mean": epsilon_mean,
            "epsilon_stddev": epsilon_stddev,
        },
        {
            "categorical_prior_weight": categorical_prior_weight,
            "component_prior_weight": component_prior_weight,
        },
    )
    if prior is None and component_prior_weight > 0:
        raise ValueError(
            f"a component_prior_weight of {component_prior_weight} needs a prior"
        )
    target = Mixture(*map(tf.stop_gradient, target))
    actions, q_values = tf.stop_gradient(actions), tf.stop_gradient(q_values)

    improvement = sampled.improve(q_values, temperature, epsilon)
    log_likelihood_target = target.log_prob(actions)  # [N, ...]

    def policy_loss(**block: tf.Tensor) -> tf.Tensor:
        log_likelihood = target._replace(**block).log_prob(actions)
        return sampled.cross_entropy(improvement.weights, log_likelihood)

    log_online = tf.nn.log_softmax(online.logits)
    log_target = tf.nn.log_softmax(target.logits)
    kl_categorical = categorical.kl_divergence(log_target, log_online)
    kl_uniform = categorical.kl_to_uniform(log_online)
    # [..., K, D] each, and summed over the components [..., D].
    kl_mean = gaussian.kl_divergence(
        target.means, target.stddevs, online.means, target.stddevs
    )
    kl_stddev = gaussian.kl_divergence(
        target.means, target.stddevs, target.means, online.stddevs
    )
    kl_mean, kl_stddev = (tf.reduce_sum(kl, axis=-2) for kl in (kl_mean, kl_stddev))
    kl_prior = tf.zeros_like(kl_categorical)
    if prior is not None:
        kl_components = gaussian.kl_divergence(
            online.means, online.stddevs, *map(tf.stop_gradient, prior)
        )
        kl_prior = tf.reduce_sum(kl_components, axis=[-2, -1])

    trust_region_categorical, dual_categorical = sampled.trust_region(
        kl_categorical[..., None], alpha_categorical, epsilon_categorical
    )
    trust_region_mean, dual_mean = sampled.trust_region(
        kl_mean, alpha_mean, epsilon_mean
    )
    trust_region_stddev, dual_stddev = sampled.trust_region(
        kl_stddev, alpha_stddev, epsilon_stddev
    )
    losses = MixtureMPOLoss(
        policy_categorical=policy_loss(logits=online.logits)
        - sampled.cross_entropy(improvement.weights, log_likelihood_target),
        policy_mean=policy_loss(means=online.means),
        policy_stddev=policy_loss(stddevs=online.stddevs),
        trust_region_categorical=trust_region_categorical,
        trust_region_mean=trust_region_mean,
        trust_region_stddev=trust_region_stddev,
        prior_categorical=categorical_prior_weight
        * categorical.kl_to_prior(log_online, categorical_prior_logits),
        prior_components=component_prior_weight * kl_prior,
        temperature=improvement.temperature,
        alpha_categorical=dual_categorical,
        alpha_mean=dual_mean,
        alpha_stddev=dual_stddev,
    )
    stats = MixtureMPOStats(
        kl_improved=improvement.kl,
        kl_categorical=kl_categorical,
        kl_mean=tf.reduce_sum(kl_mean, axis=-1),
        kl_stddev=tf.reduce_sum(kl_stddev, axis=-1),
        kl_uniform=kl_uniform,
        kl_prior=kl_prior,
        entropy_online=categorical.entropy(log_online),
        entropy_target=categorical.entropy(log_target),
        q_min=tf.reduce_min(q_values, axis=0),
        q_max=tf.reduce_max(q_values, axis=0),
        stddev_min=tf.reduce_min(online.stddevs, axis=[-2, -1]),
        stddev_max=tf.reduce_max(online.stddevs, axis=[-2, -1]),
    )
    return losses, MixtureMPOStats(*map(tf.stop_gradient, stats))


def _check_shapes(
    online: Mixture,
    target: Mixture,
    prior: tuple[tf.Tensor, tf.Tensor] | None,
    actions: tf.Tensor,
    q_values: tf.Tensor,
) -> None:
    """Raises ValueError, naming the shapes, where parameters or samples do not fit."""
    components = (online.means, online.stddevs, target.means, target.stddevs)
    for parameters in (*components, *(prior or ())):
        if not parameters.shape.is_compatible_with(online.means.shape):
            raise ValueError(
                "means and stddevs of online, target and prior must have one shape "
                f"[..., K, D], got {online.means.shape} and {parameters.shape}"
            )
    for logits in (online.logits, target.logits):
        if not logits.shape.is_compatible_with(online.means.shape[:-1]):
            raise ValueError(
                "logits must be [..., K] and means [..., K, D], got "
                f"{logits.shape} and {online.means.shape}"
            )
    shape = online.means.shape[:-2] + online.means.shape[-1:]
    sampled.check_samples(shape, actions, q_values)
