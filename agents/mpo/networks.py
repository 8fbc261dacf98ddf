"""Policies of MPO agents, and the networks that a learner trains.

Shape letters: K actions (skills), D action, M environments; [...] any leading
dimensions. Observations are dicts name -> [..., n], or [..., H, W, C] of images.
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

from agents import networks as shared
from agents.builder import Held, hold
from agents.distributions.policies import Gaussian, Hybrid, Mixture
from agents.mpo.critics import SequenceCritic
from agents.mpo.representation import InputRepresentation, assign
from agents.mpo.rows import Rows


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
        """Returns what `draw` returns, with the mode [..., D] in place of a draw."""
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
        return self.of_features(self.represent(observation))

    def represent(self, observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the input representation's features [..., H]."""
        return self._representation(observation)

    def of_features(self, features: tf.Tensor) -> tf.Tensor:
        """Returns logits [..., K] of what `represent` returns."""
        return self._head(self._torso(features)).logits

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
        assign(wider._torso, self._torso)
        assign(wider._head, self._head)

    def temper(self, temperature: float) -> None:
        """Divides all logits by a temperature, from now on, by changing weights."""
        for variable in self._head.trainable_variables:
            variable.assign(variable / temperature)


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


def move_variables(source: snt.Module, destination: snt.Module, rate: float) -> None:
    """Moves the trainable variables of `destination` by `rate` towards the source's.

    The other variables never differ.
    """
    pairs = zip(
        source.trainable_variables, destination.trainable_variables, strict=True
    )
    for src, dst in pairs:
        dst.assign_add(rate * (src - dst))
