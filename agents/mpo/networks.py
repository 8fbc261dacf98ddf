"""Networks of MPO agents: policy and sequence critic over named observations.

Shape letters: B batch, T time, K actions (skills), F features; [...] any leading
dimensions. Observations are dicts name -> [..., size].
"""

from __future__ import annotations

import abc
import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import sonnet as snt
import tensorflow as tf

from agents import networks as shared

Statistics = Mapping[str, tuple[np.ndarray, np.ndarray]]  # name -> mean, stddev [size]


class InputRepresentation(snt.Module):
    """Normalises and joins named observations, then linear, layer norm, tanh (Table 5).

    Separate key lists for policy and critic make an asymmetric actor-critic.
    """

    def __init__(
        self,
        statistics: Statistics,
        keys: Sequence[str],
        size: int,
        name: str = "input",
    ):
        """`statistics` holds mean and standard deviation of each key, [size] each.

        Raises:
          ValueError: a key has no statistics.
        """
        super().__init__(name=name)
        missing = sorted(set(keys) - set(statistics))
        if not keys or missing:
            raise ValueError(
                f"no statistics for observations {missing}; there are "
                f"{sorted(statistics)}"
            )
        self._keys = tuple(keys)
        self._normalizers = {
            key: shared.Normalizer(*statistics[key], name=f"normalizer_{key}")
            for key in keys
        }
        self._layer = shared.make_input_representation(size)

    def __call__(self, observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Maps name -> [..., n] to [..., size]."""
        parts = [self._normalizers[key](observation[key]) for key in self._keys]
        return self._layer(tf.concat(parts, axis=-1))


class CategoricalPolicy(snt.Module):
    """pi(y|x): input representation, MLP, K logits."""

    def __init__(
        self,
        representation: InputRepresentation,
        hidden_sizes: Sequence[int],
        num_actions: int,
        name: str = "policy",
    ):
        super().__init__(name=name)
        self._representation = representation
        self._torso = shared.make_mlp(hidden_sizes)
        self._head = shared.CategoricalHead(num_actions)

    def __call__(self, observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Logits [..., K]."""
        return self._head(self._torso(self._representation(observation))).logits


class SequenceCritic(snt.Module, abc.ABC):
    """Q along a sequence: representation, LSTM, and a head that a subclass adds.

    The LSTM starts every sequence from a zero state. It reads states, not actions, so
    that each step's value of any action is exact, and states are read once however
    many actions are evaluated there.
    """

    def __init__(self, representation: InputRepresentation, rnn_size: int):
        """`rnn_size` is the number of LSTM units; 0 leaves the LSTM out."""
        super().__init__(name="critic")
        self._representation = representation
        self._rnn = snt.LSTM(rnn_size) if rnn_size else None

    def features(self, observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Maps name -> [B, T, n] to features [B, T, F]."""
        features = self._representation(observation)
        if self._rnn is None:
            return features
        state = self._rnn.initial_state(tf.shape(features)[0])
        outputs = []
        # Unrolled in the graph: T is small and fixed. (`snt.UnrolledLSTM` compiles
        # three variants of itself, which takes many seconds.)
        for step in tf.unstack(features, axis=1):  # T of [B, F]
            output, state = self._rnn(step, state)
            outputs.append(output)
        return tf.stack(outputs, axis=1)

    @abc.abstractmethod
    def make_variables(self, observation: Mapping[str, tf.Tensor]) -> None:
        """Creates all variables for an observation name -> [B, T, n]."""


class CategoricalCritic(SequenceCritic):
    """Q(x, y) of all K actions at once."""

    def __init__(
        self,
        representation: InputRepresentation,
        hidden_sizes: Sequence[int],
        num_actions: int,
        rnn_size: int,
    ):
        """See `SequenceCritic`."""
        super().__init__(representation, rnn_size)
        self._torso = shared.make_mlp(hidden_sizes)
        self._head = shared.LeadingDims(snt.Linear(num_actions, name="q_values"))

    def values(self, features: tf.Tensor) -> tf.Tensor:
        """Maps features [..., F] to values [..., K]."""
        return self._head(self._torso(features))

    def __call__(self, observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Maps name -> [B, T, n] to values [B, T, K]."""
        return self.values(self.features(observation))

    def make_variables(self, observation: Mapping[str, tf.Tensor]) -> None:
        """See `SequenceCritic`."""
        self(observation)


class ActionCritic(SequenceCritic):
    """Q(x, a) of continuous actions: an MLP on features and the action (Table 5)."""

    def __init__(
        self,
        representation: InputRepresentation,
        hidden_sizes: Sequence[int],
        action_size: int,
        rnn_size: int,
    ):
        """See `SequenceCritic`; `action_size` is D."""
        super().__init__(representation, rnn_size)
        self.action_size = action_size
        first, *rest = hidden_sizes
        # The first layer in two parts: that of the state is computed once for all
        # actions that are evaluated there.
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

        Actions may have leading dimensions more: N actions at each state.
        """
        hidden = self._from_features(features) + self._from_action(action)
        return tf.squeeze(self._head(self._torso(tf.nn.elu(hidden))), axis=-1)

    def __call__(
        self, observation: Mapping[str, tf.Tensor], action: tf.Tensor
    ) -> tf.Tensor:
        """Maps name -> [B, T, n] and actions [(N,) B, T, D] to values [(N,) B, T]."""
        return self.value(self.features(observation), action)

    def make_variables(self, observation: Mapping[str, tf.Tensor]) -> None:
        """See `SequenceCritic`."""
        features = self.features(observation)
        leading = tf.shape(features)[:-1]
        self.value(features, tf.zeros(tf.concat([leading, [self.action_size]], 0)))


@dataclasses.dataclass
class MPONetworks:
    """Online and target networks of one agent."""

    policy: snt.Module  # observation -> what the `PolicyLoss` of its kind reads
    critic: SequenceCritic
    target_policy: snt.Module
    target_critic: SequenceCritic
    seed: int  # that they were drawn from; the learner draws its samples from it
    # Of a batch of sequences: what the policy is kept near, for its `PolicyLoss`.
    prior: Callable[[Any], Any] | None = None


def make_networks(
    policy: snt.Module,
    critic: SequenceCritic,
    observation_sizes: Mapping[str, int],
    seed: int,
) -> MPONetworks:
    """Creates the variables of fresh modules, seeded, and equal target networks.

    Args:
      policy: maps observations [..., n] to the parameters of pi.
      critic: of the same kind of action.
      observation_sizes: name -> n.
      seed: equal seeds give equal variables, whatever was drawn before.

    Raises:
      ValueError: an observation the networks need is not in `observation_sizes`.
    """
    observation = {
        key: tf.zeros([1, 2, size]) for key, size in observation_sizes.items()
    }
    # Sonnet's initialisers draw from TensorFlow's global generator: this puts it into a
    # known state, so that what follows depends on the seed alone.
    tf.random.set_seed(seed)
    # Copied before any weight exists: Sonnet makes variables at the first call.
    target_policy, target_critic = copy.deepcopy(policy), copy.deepcopy(critic)
    try:
        for make_variables in (
            policy,
            critic.make_variables,
            target_policy,
            target_critic.make_variables,
        ):
            make_variables(observation)
    except KeyError as e:
        raise ValueError(
            f"the environment has no observation {e}; it has "
            f"{sorted(observation_sizes)}"
        ) from e
    copy_variables(policy, target_policy)
    copy_variables(critic, target_critic)
    return MPONetworks(policy, critic, target_policy, target_critic, seed)


def copy_variables(source: snt.Module, destination: snt.Module) -> None:
    """Assigns every variable of `source` to its counterpart in `destination`."""
    for src, dst in zip(source.variables, destination.variables):  # noqa: B905
        dst.assign(src)
