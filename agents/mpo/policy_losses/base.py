"""Interface of evaluation and improvement, which depend on the kind of action.

The learner is the same for every kind of action. A `PolicyLoss` owns the dual
variables, reads the output of the policy network and gives the actions to evaluate at a
state, the value of the action taken, the value of a state under a policy, and the loss
of one improvement step. The categorical kind evaluates all actions; the Gaussian and
the mixture draw N actions from the target policy.

Shape letters: R rows of a batch (the states that train), K actions (skills), N samples,
D action, F features.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from agents.mpo.critics import SequenceCritic
from agents.mpo.rows import Rows

_MIN_LOG_DUAL = -18.0  # its softplus is 1.5e-8
_DUAL_FLOOR = 1e-8


class PolicyLoss(tf.Module, abc.ABC):
    """Evaluation and improvement of one kind of action; its variables are the duals.

    `log_temperature` is the E-step's; only values and target policy determine it. In
    the methods `output` is the output of the kind's policy network, and `values` are
    the critic's values of the candidates: [R, K] of all, or [N, R] of samples.
    """

    log_temperature: tf.Variable

    @abc.abstractmethod
    def candidates(self, output: Any, rows: Rows, seed: tf.Tensor) -> tf.Tensor | None:
        """Returns actions to evaluate, [N, R, D] drawn from a policy; None for all."""

    @abc.abstractmethod
    def values(
        self, critic: SequenceCritic, features: tf.Tensor, actions: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns Q of the candidates at states of features [R, F]."""

    @abc.abstractmethod
    def action_value(
        self, critic: SequenceCritic, features: tf.Tensor, action: tf.Tensor
    ) -> tf.Tensor:
        """Returns Q(x_t, y_t) [R] of the actions in replay."""

    @abc.abstractmethod
    def state_value(self, values: tf.Tensor, output: Any) -> tf.Tensor:
        """Returns E_{y ~ pi} Q(x_t, y) [R] for the policy that gave the candidates."""

    @abc.abstractmethod
    def __call__(
        self,
        online: Any,
        target: Any,
        actions: tf.Tensor | None,
        values: tf.Tensor,
        prior: Any = None,
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Returns the loss [R] of one improvement step, and diagnostics [R] by name.

        Args:
          online, target: outputs of the two policies.
          actions: candidates, drawn from the target policy.
          values: values of the candidates; no gradient flows through them.
          prior: parameters of the policy's prior, for kinds that have one.
        """

    @abc.abstractmethod
    def dual_values(self) -> Mapping[str, tf.Tensor]:
        """Returns the present values of the dual variables, scalars by name."""

    def end_step(self) -> None:
        """Counts a step that has changed the policy: a weight may decay by steps."""

    def project(self) -> None:
        """Keeps the duals in the range where softplus has a gradient."""
        for variable in self.trainable_variables:
            variable.assign(tf.maximum(variable, _MIN_LOG_DUAL))


def total_and_diagnostics(
    losses: Any, stats: Any
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Makes the result of a `PolicyLoss` from terms and statistics (named tuples)."""
    named = {f"loss_{k}": v for k, v in losses._asdict().items()}
    return losses.total(), {**named, **stats._asdict()}


def positive(log_dual: tf.Variable) -> tf.Tensor:
    """Returns the positive value of a dual variable: softplus plus a floor."""
    return tf.nn.softplus(log_dual) + _DUAL_FLOOR


class PriorWeight(tf.Module):
    """Weight eta_y, constant or halved every `half_life` learner steps.

    A large weight keeps skills in use until the critic knows them. A large weight that
    stays keeps the policy from ever deciding, because the E-step's bound limits the
    strength of the improvement.
    """

    def __init__(self, initial: float, half_life: int):
        """Takes the half-life in learner steps; 0: constant."""
        super().__init__(name="prior_weight")
        self._decay = 0.5 ** (1.0 / half_life) if half_life else 1.0
        self._initial = initial
        if half_life:
            self._value = tf.Variable(initial, trainable=False, name="eta_y")

    def __call__(self) -> tf.Tensor | float:
        """Returns the present weight."""
        return self._value if self._decay < 1.0 else self._initial

    def end_step(self) -> None:
        """Counts a learner step."""
        if self._decay < 1.0:
            self._value.assign(self._value * self._decay)
