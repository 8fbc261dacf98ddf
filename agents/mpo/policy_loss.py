"""What MPO needs to know about the kind of action: how to evaluate and improve it.

The learner is the same for every kind. A `PolicyLoss` owns the dual variables, reads
the parameters that the policy network put out (logits here) and answers three
questions: the value of the action taken, the value of a state under a policy, and the
loss of one improvement step. The categorical kind is here; others (Gaussian, mixture)
sample actions and evaluate the critic on them.

Shape letters: B batch, T time, K actions (skills).
"""

from __future__ import annotations

import abc
from collections.abc import Mapping

import tensorflow as tf

from agents.losses import categorical_mpo
from agents.losses import critic as critic_loss
from agents.mpo.config import MPOConfig

_MIN_LOG_DUAL = -18.0  # softplus of it is 1.5e-8
_DUAL_FLOOR = 1e-8


class PolicyLoss(tf.Module, abc.ABC):
    """Evaluation and improvement of one kind of action. Its variables are the duals."""

    @abc.abstractmethod
    def action_value(self, critic_output: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """Q(x_t, y_t) [B, T] of the actions in replay."""

    @abc.abstractmethod
    def state_value(
        self, critic_output: tf.Tensor, policy_output: tf.Tensor
    ) -> tf.Tensor:
        """E_{y ~ pi} Q(x_t, y) [B, T]."""

    @abc.abstractmethod
    def __call__(
        self, online: tf.Tensor, target: tf.Tensor, critic_output: tf.Tensor
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Loss of one improvement step [B, T], and diagnostics [B, T] by name."""

    @abc.abstractmethod
    def dual_values(self) -> Mapping[str, tf.Tensor]:
        """Current values of the dual variables, scalars by name."""

    def project(self) -> None:
        """Keeps the dual variables in the range where softplus has a gradient."""
        for variable in self.trainable_variables:
            variable.assign(tf.maximum(variable, _MIN_LOG_DUAL))


def positive(log_dual: tf.Variable) -> tf.Tensor:
    """The positive value of a dual variable: softplus plus a floor."""
    return tf.nn.softplus(log_dual) + _DUAL_FLOOR


class CategoricalPolicyLoss(PolicyLoss):
    """K actions, all evaluated; the critic's output is Q of every one, [B, T, K]."""

    def __init__(self, config: MPOConfig):
        super().__init__(name="categorical_policy_loss")
        self._epsilon = config.epsilon
        self._epsilon_policy = config.epsilon_policy
        self._prior_weight = config.prior_weight
        self._log_temperature = tf.Variable(
            config.init_log_temperature, dtype=tf.float32, name="log_temperature"
        )
        self._log_alpha = tf.Variable(
            config.init_log_alpha, dtype=tf.float32, name="log_alpha"
        )

    def action_value(self, critic_output: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """See `PolicyLoss`."""
        return critic_loss.value_of(critic_output, action)

    def state_value(
        self, critic_output: tf.Tensor, policy_output: tf.Tensor
    ) -> tf.Tensor:
        """Exact: all K actions are weighed."""
        return critic_loss.expected_value(policy_output, critic_output)

    def __call__(
        self, online: tf.Tensor, target: tf.Tensor, critic_output: tf.Tensor
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """See `PolicyLoss`; `critic_output` holds values, not a graph to train."""
        losses, stats = categorical_mpo.categorical_mpo(
            online,
            target,
            critic_output,
            positive(self._log_temperature),
            positive(self._log_alpha),
            epsilon=self._epsilon,
            epsilon_policy=self._epsilon_policy,
            prior_weight=self._prior_weight,
        )
        named = {f"loss_{k}": v for k, v in losses._asdict().items()}
        return losses.total(), {**named, **stats._asdict()}

    def dual_values(self) -> Mapping[str, tf.Tensor]:
        """The temperature and the trust region's multiplier."""
        return {
            "temperature": positive(self._log_temperature),
            "alpha": positive(self._log_alpha),
        }
