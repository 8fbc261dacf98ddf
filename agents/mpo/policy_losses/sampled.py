"""Policy losses of continuous actions, of which the target policy draws N.

Shape letters: B batch, T time, R rows of a batch, N samples, D action.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
from typing_extensions import override

from agents.distributions.policies import Gaussian, Hybrid, Mixture
from agents.losses import bernoulli_mpo, gaussian_mpo, sampled_improvement
from agents.mpo.config import ActionMPOConfig, GaussianMPOConfig, SampledMPOConfig
from agents.mpo.critics import ActionCritic
from agents.mpo.policy_losses.base import PolicyLoss, positive, total_and_diagnostics
from agents.mpo.rows import Rows


class SampledPolicyLoss(PolicyLoss):
    """Base of the losses of continuous actions: samples and their values."""

    def __init__(self, config: SampledMPOConfig, name: str):
        super().__init__(name=name)
        self._config = config
        self.log_temperature = dual("temperature", config.init_log_temperature)

    def candidates(
        self, output: Gaussian | Hybrid | Mixture, rows: Rows, seed: tf.Tensor
    ) -> tf.Tensor:
        """Returns N draws [N, R, D] of the target policy's output.

        All states [B, T] get noise, so that a state's draws do not depend on which
        other states train.
        """
        noise = output.noise(self._config.num_samples, rows.shape, seed)
        return output.at(rows.take(noise, axis=1))

    @override
    def values(
        self, critic: ActionCritic, features: tf.Tensor, actions: tf.Tensor
    ) -> tf.Tensor:
        return critic.value(features, actions)

    @override
    def action_value(
        self, critic: ActionCritic, features: tf.Tensor, action: tf.Tensor
    ) -> tf.Tensor:
        return critic.value(features, action)

    def state_value(
        self, values: tf.Tensor, output: Gaussian | Hybrid | Mixture
    ) -> tf.Tensor:
        """Returns the mean over the samples."""
        del output
        return tf.reduce_mean(values, axis=0)


class _GaussianPartLoss(SampledPolicyLoss):
    """Base of losses with Gaussian components: mean and deviation are decoupled."""

    _config: GaussianMPOConfig

    def __init__(
        self, config: GaussianMPOConfig, action_size: int, prior_weight: float = 0.0
    ):
        """Makes the duals of D dimensions; `prior_weight` is the prior KL's weight."""
        super().__init__(config, name="gaussian_policy_loss")
        self._prior_weight = prior_weight
        shape = [action_size] if config.per_dim_constraining else []
        self._log_alpha_mean = dual("alpha_mean", config.init_log_alpha_mean, shape)
        self._log_alpha_stddev = dual(
            "alpha_stddev", config.init_log_alpha_stddev, shape
        )
        self._log_penalty_temperature = None
        if config.action_penalization:
            self._log_penalty_temperature = dual(
                "penalty_temperature", config.init_log_temperature
            )

    def _improve(
        self,
        online: Gaussian,
        target: Gaussian,
        actions: tf.Tensor,
        values: tf.Tensor,
        prior: Gaussian | None,
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Returns the result of `PolicyLoss.__call__` for the Gaussian components."""
        config = self._config
        penalty: dict[str, tf.Tensor | float] = {}
        if self._log_penalty_temperature is not None:
            penalty = {
                "penalty_temperature": positive(self._log_penalty_temperature),
                "epsilon_penalty": config.epsilon_penalty,
            }
        losses, stats = gaussian_mpo.gaussian_mpo(
            *online,
            *target,
            actions,
            values,
            positive(self.log_temperature),
            positive(self._log_alpha_mean),
            positive(self._log_alpha_stddev),
            epsilon=config.epsilon,
            epsilon_mean=config.epsilon_mean,
            epsilon_stddev=config.epsilon_stddev,
            prior=prior,
            prior_weight=self._prior_weight,
            **penalty,
        )
        return total_and_diagnostics(losses, stats)

    def dual_values(self) -> Mapping[str, tf.Tensor]:
        """Returns the temperatures and the multipliers, the latter as means over D."""
        values = {
            "temperature": positive(self.log_temperature),
            "alpha_mean": tf.reduce_mean(positive(self._log_alpha_mean)),
            "alpha_stddev": tf.reduce_mean(positive(self._log_alpha_stddev)),
        }
        if self._log_penalty_temperature is not None:
            values["penalty_temperature"] = positive(self._log_penalty_temperature)
        return values


class GaussianPolicyLoss(_GaussianPartLoss):
    """Policy loss of a diagonal Gaussian."""

    @override
    def __call__(
        self,
        online: Gaussian,
        target: Gaussian,
        actions: tf.Tensor,
        values: tf.Tensor,
        prior: Gaussian | None = None,
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        return self._improve(online, target, actions, values, prior)


class HybridPolicyLoss(_GaussianPartLoss):
    """Policy loss of Gaussian and Bernoulli finger: one E-step, a trust region each."""

    _config: ActionMPOConfig

    def __init__(
        self, config: ActionMPOConfig, action_size: int, prior_weight: float = 0.0
    ):
        """Makes the duals of the Gaussian part and of the finger.

        Args:
          config: configuration of the agent.
          action_size: D, the finger included.
          prior_weight: weight of the KL to the prior.
        """
        super().__init__(config, action_size - 1, prior_weight)
        self._log_alpha_finger = dual("alpha_finger", config.init_log_alpha_finger)

    @override
    def __call__(
        self,
        online: Hybrid,
        target: Hybrid,
        actions: tf.Tensor,
        values: tf.Tensor,
        prior: Hybrid | None = None,
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        continuous, fingers = actions[..., :-1], actions[..., -1]
        total, stats = self._improve(
            online.gaussian,
            target.gaussian,
            continuous,
            values,
            None if prior is None else prior.gaussian,
        )
        # Weights of the values alone: a finger is never out of bounds.
        weights = sampled_improvement.improve(
            values, positive(self.log_temperature), self._config.epsilon
        ).weights
        finger, finger_stats = total_and_diagnostics(
            *bernoulli_mpo.bernoulli_mpo(
                online.logit,
                target.logit,
                fingers,
                weights,
                positive(self._log_alpha_finger),
                epsilon=self._config.epsilon_finger,
                prior_logit=None if prior is None else prior.logit,
                prior_weight=self._prior_weight,
            )
        )
        return total + finger, {**stats, **finger_stats}

    def dual_values(self) -> Mapping[str, tf.Tensor]:
        """Adds the finger's multiplier to the values of the Gaussian."""
        alpha = positive(self._log_alpha_finger)
        return {**super().dual_values(), "alpha_finger": alpha}


def dual(name: str, value: float, shape: list[int] | None = None) -> tf.Variable:
    """Makes a dual variable, whose value `policy_loss.positive` computes."""
    return tf.Variable(tf.fill(shape or [], float(value)), name=f"log_{name}")
