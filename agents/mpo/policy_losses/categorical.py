"""Policy loss of a categorical policy, which evaluates all K actions.

Shape letters: R rows of a batch (states that train), K actions (skills), F features.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
from typing_extensions import override

from agents.losses import categorical_mpo
from agents.losses import critic as critic_loss
from agents.mpo.config import CategoricalMPOConfig
from agents.mpo.critics import CategoricalCritic
from agents.mpo.policy_losses.base import (
    PolicyLoss,
    PriorWeight,
    positive,
    total_and_diagnostics,
)
from agents.mpo.rows import Rows


class CategoricalPolicyLoss(PolicyLoss):
    """Policy loss over K actions, all of which are evaluated."""

    def __init__(self, config: CategoricalMPOConfig):
        super().__init__(name="categorical_policy_loss")
        self._epsilon = config.epsilon
        self._epsilon_policy = config.epsilon_policy
        self._eta_y = PriorWeight(config.eta_y, config.eta_y_half_life)
        self.log_temperature = tf.Variable(
            config.init_log_temperature, dtype=tf.float32, name="log_temperature"
        )
        self._log_alpha = tf.Variable(
            config.init_log_alpha, dtype=tf.float32, name="log_alpha"
        )

    def candidates(self, output: tf.Tensor, rows: Rows, seed: tf.Tensor) -> None:
        """Returns None: all actions are candidates."""
        del output, rows, seed

    @override
    def values(
        self, critic: CategoricalCritic, features: tf.Tensor, actions: None
    ) -> tf.Tensor:
        del actions
        return critic.values(features)

    @override
    def action_value(
        self, critic: CategoricalCritic, features: tf.Tensor, action: tf.Tensor
    ) -> tf.Tensor:
        return critic_loss.value_of(critic.values(features), action)

    def state_value(self, values: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        """Returns the exact value, which weighs all K actions."""
        return critic_loss.expected_value(output, values)

    def __call__(
        self,
        online: tf.Tensor,
        target: tf.Tensor,
        actions: None,
        values: tf.Tensor,
        prior: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Returns the loss [R] of one improvement step, and diagnostics [R] by name.

        Args:
          online: logits [R, K] of the online policy.
          target: logits [R, K] of the target policy.
          actions: None, as all actions are candidates.
          values: values [R, K] of all actions.
          prior: logits [R, K] of the policy's prior; None: the uniform one.
        """
        del actions
        losses, stats = categorical_mpo.categorical_mpo(
            online,
            target,
            values,
            positive(self.log_temperature),
            positive(self._log_alpha),
            epsilon=self._epsilon,
            epsilon_policy=self._epsilon_policy,
            prior_weight=self._eta_y(),
            prior_logits=prior,
        )
        return total_and_diagnostics(losses, stats)

    @override
    def end_step(self) -> None:
        self._eta_y.end_step()

    def dual_values(self) -> Mapping[str, tf.Tensor]:
        """Returns the temperature and the trust region's multiplier."""
        return {
            "temperature": positive(self.log_temperature),
            "alpha": positive(self._log_alpha),
        }
