"""Networks of MPO agents: policy and sequence critic over named observations.

Shape letters: B batch, T time, K actions (skills), F features; [...] any leading
dimensions. Observations are dicts name -> [..., size].
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence

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


class SequenceCritic(snt.Module):
    """Q(x, y) of all K actions along a sequence: representation, LSTM, MLP, K values.

    The LSTM starts every sequence from a zero state. It reads states, not actions, so
    that each step's value of any action is exact.
    """

    def __init__(
        self,
        representation: InputRepresentation,
        hidden_sizes: Sequence[int],
        num_actions: int,
        rnn_size: int,
        name: str = "critic",
    ):
        """`rnn_size` is the number of LSTM units; 0 leaves the LSTM out."""
        super().__init__(name=name)
        self._representation = representation
        self._rnn = snt.LSTM(rnn_size) if rnn_size else None
        self._torso = shared.make_mlp(hidden_sizes)
        self._head = shared.LeadingDims(snt.Linear(num_actions, name="q_values"))

    def __call__(self, observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Maps name -> [B, T, n] to values [B, T, K]."""
        features = self._representation(observation)  # [B, T, F]
        if self._rnn is not None:
            state = self._rnn.initial_state(tf.shape(features)[0])
            time_major = tf.unstack(tf.transpose(features, [1, 0, 2]))  # T of [B, F]
            outputs = []
            # Unrolled in the graph: T is small and fixed. (`snt.UnrolledLSTM` compiles
            # three variants of itself, which takes many seconds.)
            for step in time_major:
                output, state = self._rnn(step, state)
                outputs.append(output)
            features = tf.stack(outputs, axis=1)  # [B, T, F]
        return self._head(self._torso(features))


@dataclasses.dataclass
class MPONetworks:
    """Online and target networks of one agent."""

    policy: snt.Module
    critic: snt.Module
    target_policy: snt.Module
    target_critic: snt.Module


def make_networks(
    policy: snt.Module,
    critic: snt.Module,
    observation_sizes: Mapping[str, int],
    seed: int,
) -> MPONetworks:
    """Creates the variables of fresh modules, seeded, and equal target networks.

    Args:
      policy: maps observations [..., n] to the parameters of pi.
      critic: maps observations [B, T, n] to values.
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
        for module in (policy, critic, target_policy, target_critic):
            module(observation)
    except KeyError as e:
        raise ValueError(
            f"the environment has no observation {e}; it has "
            f"{sorted(observation_sizes)}"
        ) from e
    copy_variables(policy, target_policy)
    copy_variables(critic, target_critic)
    return MPONetworks(policy, critic, target_policy, target_critic)


def copy_variables(source: snt.Module, destination: snt.Module) -> None:
    """Assigns every variable of `source` to its counterpart in `destination`."""
    for src, dst in zip(source.variables, destination.variables):  # noqa: B905
        dst.assign(src)
