"""Critics of MPO agents along sequences of named observations.

Shape letters: B batch, T time, N actions at a state, R rows of a batch, K actions
(skills), F features, D action; [...] any leading dimensions. Observations are dicts
name -> [B, T, n], or [B, T, H, W, C] of images.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence

import sonnet as snt
import tensorflow as tf
from typing_extensions import override

from agents import networks as shared
from agents.mpo.representation import InputRepresentation
from agents.mpo.rows import Rows


class SequenceCritic(snt.Module, abc.ABC):
    """Critic along a sequence: representation, LSTM, and a head that a subclass adds.

    The LSTM starts every sequence from a zero state, which the sequence's first rows
    may warm (`MPOConfig.burn_in`). It reads states, not actions, so that each step's
    value of any action is exact, and reads each state once for all actions that are
    evaluated there.
    """

    def __init__(self, representation: InputRepresentation, rnn_size: int):
        """Takes the number of LSTM units, `rnn_size`; 0 leaves the LSTM out."""
        super().__init__(name="critic")
        self._representation = representation
        self._rnn = shared.SequenceLSTM(rnn_size, name="lstm") if rnn_size else None

    def features(
        self, observation: Mapping[str, tf.Tensor], rows: Rows | None = None
    ) -> tf.Tensor:
        """Maps name -> [B, T, n] to features [B, T, F], or [R, F] of some rows.

        The LSTM reads all rows; the layers after it read only `rows`.
        """
        if self._rnn is None:
            chosen = observation if rows is None else rows.take(observation)
            return self._representation(chosen)
        features = self._rnn.unroll(self._representation(observation))
        return features if rows is None else rows.take(features)

    @abc.abstractmethod
    def make_variables(self, observation: Mapping[str, tf.Tensor]) -> None:
        """Creates all variables for an observation name -> [B, T, n]."""


class CategoricalCritic(SequenceCritic):
    """Critic Q(x, y) of all K actions at once."""

    def __init__(
        self,
        representation: InputRepresentation,
        hidden_sizes: Sequence[int],
        num_actions: int,
        rnn_size: int,
    ):
        super().__init__(representation, rnn_size)
        self._torso = shared.make_mlp(hidden_sizes)
        self._head = shared.LeadingDims(snt.Linear(num_actions, name="q_values"))

    @override
    def features(
        self, observation: Mapping[str, tf.Tensor], rows: Rows | None = None
    ) -> tf.Tensor:
        # The MLP reads no action, so that it belongs to the features.
        return self._torso(super().features(observation, rows))

    def values(self, features: tf.Tensor) -> tf.Tensor:
        """Maps features [..., F] to values [..., K]."""
        return self._head(features)

    def __call__(self, observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Maps name -> [B, T, n] to values [B, T, K]."""
        return self.values(self.features(observation))

    @override
    def make_variables(self, observation: Mapping[str, tf.Tensor]) -> None:
        self(observation)


class ActionCritic(SequenceCritic):
    """Critic Q(x, a) of continuous actions: an MLP on features and action (Table 5)."""

    def __init__(
        self,
        representation: InputRepresentation,
        hidden_sizes: Sequence[int],
        action_size: int,
        rnn_size: int,
    ):
        """Makes the layers.

        Args:
          representation: input layer.
          hidden_sizes: units of the MLP's layers.
          action_size: D.
          rnn_size: units of the LSTM; 0 leaves it out.
        """
        super().__init__(representation, rnn_size)
        self.action_size = action_size
        first, *rest = hidden_sizes
        # First layer in two parts: the state's part is computed once for all actions
        # that are evaluated there.
        self._from_features = shared.LeadingDims(
            snt.Linear(first, name="from_features")
        )
        self._from_action = shared.LeadingDims(
            snt.Linear(first, with_bias=False, name="from_action")
        )
        self._torso = shared.make_mlp(rest) if rest else tf.identity
        self._head = shared.LeadingDims(snt.Linear(1, name="q_value"))

    def value(self, features: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """Maps features [..., F] and actions [..., D] to values [...].

        Actions may have more leading dimensions: N actions per state.
        """
        hidden = self._from_features(features) + self._from_action(action)
        return tf.squeeze(self._head(self._torso(tf.nn.elu(hidden))), axis=-1)

    def __call__(
        self, observation: Mapping[str, tf.Tensor], action: tf.Tensor
    ) -> tf.Tensor:
        """Maps name -> [B, T, n] and actions [(N,) B, T, D] to values [(N,) B, T]."""
        return self.value(self.features(observation), action)

    @override
    def make_variables(self, observation: Mapping[str, tf.Tensor]) -> None:
        features = self.features(observation)
        leading = tf.shape(features)[:-1]
        self.value(features, tf.zeros(tf.concat([leading, [self.action_size]], 0)))
