"""The builder interface: every part of an agent, made where a program needs it.

Acme has this interface for JAX agents only (`acme.agents.jax.builders`). A builder is
made from plain configuration in each process, so nothing that holds TensorFlow state is
ever sent from one to another. What RL acts on (the agent action: a skill, a latent
vector or the action itself) may differ from what the environment takes (the environment
action): replay stores the first, and the policy decodes it to the second.
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import reverb
import tensorflow as tf
from acme import adders, core, specs
from acme.utils import counting, loggers

Networks = TypeVar("Networks")
Observation = Mapping[str, tf.Tensor]


class Stopped(Exception):
    """The program is stopping, so a wait ends without what it waits for."""


class Decision(NamedTuple):
    """What a policy decides at one step of M environments."""

    agent_action: tf.Tensor  # what RL acts on and replay stores, [M, ...]
    environment_action: tf.Tensor  # what the environment takes, [M, A]
    # What lasts `skill_steps`, [M, ...]; None: the agent action.
    held: tf.Tensor | None = None


class Held(NamedTuple):
    """What M environments hold of earlier decisions, and which of them decide anew."""

    held: tf.Tensor  # [M, ...] of the step before
    anew: tf.Tensor  # bool [M]


def hold(new: tf.Tensor, held: Held | None) -> tf.Tensor:
    """What is held from this step on: `new` [M, ...] in rows that decide anew."""
    if held is None:
        return new
    anew = tf.reshape(held.anew, [-1] + [1] * (new.shape.rank - 1))
    return tf.where(anew, new, held.held)


class Policy(tf.Module, abc.ABC):
    """A policy as actors run it: one compiled call from observations to decisions.

    Attributes:
      skill_steps: control steps that a decision lasts.
    """

    skill_steps: int = 1

    @abc.abstractmethod
    def __call__(
        self, observation: Observation, seed: tf.Tensor, held: Held | None = None
    ) -> Decision:
        """Decides on M observations.

        Args:
          observation: name -> [M, size].
          seed: int32 [2]; equal seeds give equal decisions.
          held: for a policy whose decisions last; None decides anew in all rows.
        """

    @property
    @abc.abstractmethod
    def learned_variables(self) -> list[tf.Variable]:
        """The variables that a learner's `get_variables(["policy"])` refreshes."""


class AgentBuilder(abc.ABC, Generic[Networks]):
    """Makes the parts of one agent."""

    @abc.abstractmethod
    def make_networks(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> Networks:
        """Fresh networks; equal seeds give equal variables.

        Raises:
          ValueError: the environment does not suit the agent.
        """

    @abc.abstractmethod
    def make_replay_tables(
        self, environment_spec: specs.EnvironmentSpec, limit_rate: bool = True
    ) -> list[reverb.Table]:
        """Replay tables.

        Args:
          environment_spec: of the environment that fills them.
          limit_rate: hold actors and learner to the configured samples per insert.
            Without it only the minimal size holds samples back, and inserts never
            block: for a process that both inserts and samples, and counts by itself.
        """

    @abc.abstractmethod
    def demonstrate(self, load: Callable[[], Sequence[Any]]) -> None:
        """Mixes the demonstrations that `load` reads into the learner's batches."""

    @abc.abstractmethod
    def make_dataset_iterator(self, replay_client: reverb.Client) -> Iterator[Any]:
        """Batches of replay for the learner."""

    @abc.abstractmethod
    def make_adder(
        self,
        replay_client: reverb.Client,
        stopped: Callable[[], bool] = lambda: False,
        waiting: Callable[
            [str], contextlib.AbstractContextManager[Any]
        ] = contextlib.nullcontext,
    ) -> adders.Adder:
        """What writes an actor's steps to replay.

        Args:
          replay_client: of the server.
          stopped: whether the program is stopping, which ends a wait of the adder with
            `Stopped`.
          waiting: entered with a text while an insert waits.
        """

    @abc.abstractmethod
    def make_policy(self, networks: Networks, evaluation: bool = False) -> Policy:
        """The policy that actors run, or the one that is evaluated."""

    @abc.abstractmethod
    def make_actors(
        self,
        policy: Policy,
        seed: int,
        adders: Sequence[adders.Adder | None],
        variable_source: core.VariableSource | None = None,
    ) -> list[core.Actor]:
        """Actors, one for each adder, that share the policy's calls.

        Several run in a thread each and `leave` when they act no more. With a variable
        source they start from the learner's variables.
        """

    def make_actor(
        self,
        policy: Policy,
        seed: int,
        adder: adders.Adder | None = None,
        variable_source: core.VariableSource | None = None,
    ) -> core.Actor:
        """One actor, see `make_actors`."""
        return self.make_actors(policy, seed, [adder], variable_source)[0]

    @abc.abstractmethod
    def make_learner(
        self,
        networks: Networks,
        dataset: Iterator[Any],
        directory: str | None = None,
        counter: counting.Counter | None = None,
        logger: loggers.Logger | None = None,
    ) -> core.Learner:
        """A learner; with a directory it resumes from and keeps checkpoints there."""

    @abc.abstractmethod
    def restore_policy(self, networks: Networks, directory: str) -> int:
        """Reads the policy from the newest checkpoint that a learner wrote.

        Args:
          networks: whose online policy is assigned.
          directory: that the learner was given.

        Returns:
          The learner steps of that checkpoint.

        Raises:
          ValueError: in one line, if there is none or it is of another model.
        """

    @abc.abstractmethod
    def save_policy(self, networks: Networks, directory: str, steps: int) -> None:
        """Writes a checkpoint that `restore_policy` reads, and no learner goes on from.

        Args:
          networks: whose online policy is written.
          directory: to write below.
          steps: of the learner that made it.
        """

    @abc.abstractmethod
    def checkpoint_steps(self, directory: str) -> int | None:
        """The learner steps of the newest checkpoint there; None if there is none."""

    @abc.abstractmethod
    def learner_steps_due(self, actor_steps: int) -> int:
        """Learner steps that `actor_steps` steps of acting pay for in one process."""

    @abc.abstractmethod
    def steps_stored(self, episode_steps: int) -> int:
        """Steps that a whole episode counts for in `learner_steps_due`."""
