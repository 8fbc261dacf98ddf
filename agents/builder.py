"""Interface of builders, which make each part of an agent where a program needs it.

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
    """Error that ends a wait because the program is stopping."""


class Decision(NamedTuple):
    """Decision of a policy at one step of M environments."""

    agent_action: tf.Tensor  # what RL acts on and replay stores, [M, ...]
    environment_action: tf.Tensor  # what the environment takes, [M, A]
    # Part that is held for `skill_steps`, [M, ...]; None: the agent action.
    held: tf.Tensor | None = None


class Held(NamedTuple):
    """Earlier decisions that M environments hold, and which of these decide anew."""

    held: tf.Tensor  # [M, ...], from the step before
    anew: tf.Tensor  # bool [M]


def hold(new: tf.Tensor, held: Held | None) -> tf.Tensor:
    """Returns what is held from now on: `new` [M, ...] in rows that decide anew."""
    if held is None:
        return new
    anew = tf.reshape(held.anew, [-1] + [1] * (new.shape.rank - 1))
    return tf.where(anew, new, held.held)


class Policy(tf.Module, abc.ABC):
    """Policy as actors run it: one compiled call from observations to decisions.

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
          held: earlier decisions, where one lasts several steps; None decides anew in
            all rows.
        """

    @property
    @abc.abstractmethod
    def learned_variables(self) -> list[tf.Variable]:
        """Variables that a learner's `get_variables(["policy"])` refreshes."""


class AgentBuilder(abc.ABC, Generic[Networks]):
    """Interface that makes the parts of one agent."""

    @abc.abstractmethod
    def make_networks(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> Networks:
        """Makes new networks; equal seeds give equal variables.

        Raises:
          ValueError: the environment does not suit the agent.
        """

    @abc.abstractmethod
    def make_replay_tables(
        self, environment_spec: specs.EnvironmentSpec, limit_rate: bool = True
    ) -> list[reverb.Table]:
        """Makes the tables of a replay server, as the agent's adders fill them.

        Args:
          environment_spec: spec of the environment that fills them.
          limit_rate: hold actors and learner to the configured samples per insert.
            Without it only the minimal size holds samples back, and inserts never
            block: for a process that inserts, samples and keeps the ratio itself.
        """

    @abc.abstractmethod
    def demonstrate(self, load: Callable[[], Sequence[Any]]) -> None:
        """Mixes the demonstrations that `load` reads into the learner's batches."""

    @abc.abstractmethod
    def make_dataset_iterator(self, replay_client: reverb.Client) -> Iterator[Any]:
        """Returns an iterator over the learner's batches of replay."""

    @abc.abstractmethod
    def make_adder(
        self,
        replay_client: reverb.Client,
        stopped: Callable[[], bool] = lambda: False,
        waiting: Callable[
            [str], contextlib.AbstractContextManager[Any]
        ] = contextlib.nullcontext,
    ) -> adders.Adder:
        """Makes the adder that writes an actor's steps to replay.

        Args:
          replay_client: client of the replay server.
          stopped: returns whether the program is stopping; if so, a wait of the adder
            ends with `Stopped`.
          waiting: makes, from a text, the context in which an insert waits.
        """

    @abc.abstractmethod
    def make_policy(self, networks: Networks, evaluation: bool = False) -> Policy:
        """Makes the policy that actors run or, with `evaluation`, that is evaluated."""

    @abc.abstractmethod
    def make_actors(
        self,
        policy: Policy,
        seed: int,
        adders: Sequence[adders.Adder | None],
        variable_source: core.VariableSource | None = None,
    ) -> list[core.Actor]:
        """Makes one actor per adder; the actors share the policy's calls.

        Several actors each need a thread and call `leave` when they stop acting. With a
        variable source they start from the learner's variables.
        """

    def make_actor(
        self,
        policy: Policy,
        seed: int,
        adder: adders.Adder | None = None,
        variable_source: core.VariableSource | None = None,
    ) -> core.Actor:
        """Makes one actor; see `make_actors`."""
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
        """Makes a learner, which keeps checkpoints in `directory` and resumes there."""

    @abc.abstractmethod
    def restore_policy(self, networks: Networks, directory: str) -> int:
        """Reads the policy from the newest checkpoint that a learner wrote.

        Args:
          networks: networks whose online policy is assigned.
          directory: directory of the learner.

        Returns:
          The learner steps of that checkpoint.

        Raises:
          ValueError: there is no checkpoint, or it is of another model; one line says
            which.
        """

    @abc.abstractmethod
    def save_policy(self, networks: Networks, directory: str, steps: int) -> None:
        """Writes a checkpoint for `restore_policy`, from which no learner can resume.

        Args:
          networks: networks whose online policy is written.
          directory: directory to write below.
          steps: learner steps that the policy has taken.
        """

    @abc.abstractmethod
    def checkpoint_steps(self, directory: str) -> int | None:
        """Returns the learner steps of the newest checkpoint; None if there is none."""

    @abc.abstractmethod
    def learner_steps_due(self, actor_steps: int) -> int:
        """Returns the learner steps that `actor_steps` allow in a single process."""

    @abc.abstractmethod
    def steps_stored(self, episode_steps: int) -> int:
        """Returns the steps that an episode counts for in `learner_steps_due`."""
