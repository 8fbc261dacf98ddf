"""Networks of MPO agents: policy and sequence critic on named observations.

Shape letters: B batch, T time, R rows of a batch, K actions (skills), F features,
D action, M environments; [...] any leading dimensions. Observations are dicts
name -> [..., n], or [..., H, W, C] of images.
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
from acme import specs
from acme.tf import networks as acme_networks
from typing_extensions import override

from agents import networks as shared
from agents.builder import Held, hold
from agents.distributions.policies import Gaussian, Hybrid, Mixture
from agents.mpo.rows import Rows

Statistics = Mapping[str, tuple[np.ndarray, np.ndarray]]  # name -> mean, stddev [size]

_IMAGE_FEATURES = 256  # ours


class InputRepresentation(snt.Module):
    """Input layer that joins named observations: linear, layer norm, tanh (Table 5).

    Vectors are normalised; an image first goes through a ResNet of its own. Different
    keys for policy and critic make an asymmetric actor-critic.
    """

    def __init__(
        self,
        shapes: Mapping[str, Sequence[int]],
        keys: Sequence[str],
        statistics: Statistics,
        size: int,
        name: str = "input",
    ):
        """Makes a normaliser or ResNet per observation, and the layer.

        Args:
          shapes: shapes of the environment's observations: vectors [n], images
            [H, W, C].
          keys: names of the observations to read.
          statistics: mean and standard deviation [n] by name of a vector; a vector
            without statistics is not normalised.
          size: units of the layer.
          name: name of the module.

        Raises:
          ValueError: an observation does not exist, or is neither a vector nor an
            image.
        """
        super().__init__(name=name)
        self._keys = tuple(keys)
        self._parts: dict[str, _Image | shared.Normalizer] = {}
        for key in self._keys:
            if key not in shapes:
                raise ValueError(
                    f"the environment has no observation {key!r}; it has "
                    f"{', '.join(sorted(shapes))}"
                )
            shape = tuple(shapes[key])
            if len(shape) == 3:
                self._parts[key] = _Image(name="image")
            elif len(shape) == 1:
                unit = np.zeros(shape), np.ones(shape)
                self._parts[key] = shared.Normalizer(
                    *statistics.get(key, unit), name=f"normalizer_{key}"
                )
            else:
                raise ValueError(
                    f"observation {key!r} of shape {shape} is neither a vector nor an "
                    "image"
                )
        self._layer = shared.make_input_representation(size)

    def __call__(self, observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Maps name -> [..., n] or [..., H, W, C] to [..., size]."""
        parts = [self._parts[key](observation[key]) for key in self._keys]
        return self._layer(tf.concat(parts, axis=-1))

    def fold(
        self, wider: InputRepresentation, constants: Mapping[str, np.ndarray]
    ) -> None:
        """See `CategoricalPolicy.fold`; reads only vectors."""
        if {*self._keys, *constants} != set(wider._keys):
            raise ValueError(f"{wider._keys} are not {self._keys} and {[*constants]}")
        linear = wider._linear
        sizes = [len(wider._parts[key].statistics()[0]) for key in wider._keys]
        rows = dict(zip(wider._keys, tf.split(linear.w, sizes), strict=True))
        # The bias comes before the layer norm, as the constants do.
        bias = linear.b + sum(
            tf.linalg.matvec(rows[key], wider._parts[key](value), transpose_a=True)
            for key, value in constants.items()
        )
        weights = tf.concat([rows[key] for key in self._keys], axis=0)
        values = {linear.w.ref(): weights, linear.b.ref(): bias}
        _assign(wider._layer, self._layer, values)
        for key in self._keys:
            _assign(wider._parts[key], self._parts[key])

    @property
    def _linear(self) -> snt.Linear:
        [linear] = (m for m in self._layer.submodules if isinstance(m, snt.Linear))
        return linear


class _Image(snt.Module):
    """ResNet on uint8 images: blocks {2, 2, 2}, channels {32, 64, 128} (Table 5)."""

    def __init__(self, name: str):
        super().__init__(name=name)
        self._resnet = acme_networks.ResNetTorso(
            num_channels=(32, 64, 128),
            num_blocks=(2, 2, 2),
            num_output_hidden=(_IMAGE_FEATURES,),
            activation=tf.nn.elu,
        )

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Maps [..., H, W, C] to features [..., 256]."""
        num_dims = images.shape.rank - 3
        features = self._resnet(snt.merge_leading_dims(images, num_dims))
        return snt.split_leading_dim(features, images, num_dims)


class PolicyNetwork(snt.Module, abc.ABC):
    """Policy pi(.|x) of an observation, name -> [..., n]."""

    @abc.abstractmethod
    def __call__(
        self, observation: Mapping[str, tf.Tensor]
    ) -> Gaussian | Hybrid | Mixture:
        """Returns the distribution [..., D]."""

    def draw(
        self,
        observation: Mapping[str, tf.Tensor],
        seed: tf.Tensor,
        held: Held | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns a draw [..., D] for acting, and what is held if not the draw itself.

        Args:
          observation: name -> [..., n].
          seed: int32 [2].
          held: earlier decisions of M rows, which then are the leading dimension.
        """
        return hold(self(observation).sample(1, seed)[0], held), None

    def mode(
        self, observation: Mapping[str, tf.Tensor], held: Held | None = None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns the mode [..., D] in place of a draw; see `draw`."""
        return hold(self(observation).mode(), held), None


class CategoricalPolicy(snt.Module):
    """Policy pi(y|x): input representation, MLP, K logits."""

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
        """Returns logits [..., K]."""
        return self._head(self._torso(self._representation(observation))).logits

    def fold(
        self, wider: CategoricalPolicy, constants: Mapping[str, np.ndarray]
    ) -> None:
        """Assigns the weights of a policy that also reads constants.

        A constant input only shifts the bias of the first layer. After the call both
        policies give the same logits where `wider` reads the constants.

        Args:
          wider: policy that reads the observations of this one, in any order, and
            `constants`; the variables of both exist.
          constants: name -> [n]; empty to copy a policy.

        Raises:
          ValueError: `wider` has other observations or sizes.
        """
        self._representation.fold(wider._representation, constants)
        _assign(wider._torso, self._torso)
        _assign(wider._head, self._head)

    def temper(self, temperature: float) -> None:
        """Divides all logits by a temperature, from now on, by changing weights."""
        for variable in self._head.trainable_variables:
            variable.assign(variable / temperature)


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

    def features(
        self, observation: Mapping[str, tf.Tensor], rows: Rows | None = None
    ) -> tf.Tensor:
        """See `SequenceCritic`; includes the MLP, which reads no action."""
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
        """See `SequenceCritic`; `action_size` is D."""
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


@dataclasses.dataclass
class MPONetworks:
    """Online and target networks of one agent."""

    policy: snt.Module  # observation -> output that the `PolicyLoss` of its kind reads
    critic: SequenceCritic
    target_policy: snt.Module
    target_critic: SequenceCritic
    seed: int  # of the initial weights and of the learner's samples
    # (data, rows) -> the policy's prior in rows of a batch of sequences, as its
    # `PolicyLoss` reads it.
    prior: Callable[[Any, Rows], Any] | None = None


def make_networks(
    policy: snt.Module,
    critic: SequenceCritic,
    observation_spec: Mapping[str, specs.Array],
    seed: int,
) -> MPONetworks:
    """Creates the variables of new modules from a seed, and equal target networks.

    Args:
      policy: maps observations [..., n] to the parameters of pi.
      critic: critic of the same kind of action.
      observation_spec: specs of the environment's observations by name.
      seed: equal seeds give equal variables, whatever was drawn before.
    """
    observation = {
        key: tf.zeros([1, 2, *spec.shape], spec.dtype)
        for key, spec in observation_spec.items()
    }
    # Sonnet's initialisers draw from TensorFlow's global generator: this sets its
    # state, so that the variables depend only on the seed.
    tf.random.set_seed(seed)
    # Copied before any weight exists: Sonnet makes variables at the first call.
    target_policy, target_critic = copy.deepcopy(policy), copy.deepcopy(critic)
    for make_variables in (
        policy,
        critic.make_variables,
        target_policy,
        target_critic.make_variables,
    ):
        make_variables(observation)
    copy_variables(policy, target_policy)
    copy_variables(critic, target_critic)
    return MPONetworks(policy, critic, target_policy, target_critic, seed)


def copy_variables(source: snt.Module, destination: snt.Module) -> None:
    """Assigns every variable of `source` to its counterpart in `destination`."""
    for src, dst in zip(source.variables, destination.variables):  # noqa: B905
        dst.assign(src)


def _assign(
    source: snt.Module,
    destination: snt.Module,
    values: Mapping[Any, tf.Tensor] | None = None,
) -> None:
    """Copies variables, with other `values` for some variables of `source`.

    Raises:
      ValueError: the number or shapes of variables differ.
    """
    for src, dst in zip(source.variables, destination.variables, strict=True):
        dst.assign((values or {}).get(src.ref(), src))


def move_variables(source: snt.Module, destination: snt.Module, rate: float) -> None:
    """Moves the trainable variables of `destination` by `rate` towards the source's.

    The other variables never differ.
    """
    pairs = zip(
        source.trainable_variables, destination.trainable_variables, strict=True
    )
    for src, dst in pairs:
        dst.assign_add(rate * (src - dst))
