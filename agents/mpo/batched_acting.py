"""Acting: one compiled call serves all actors of a process; replay gets agent actions.

A call costs a processor about as much for a few observations as for one, so actors that
share a process share their calls: each actor waits until all have asked.

A decision may last several control steps (`Policy.skill_steps`), counted from an
episode's first step. Each actor is at a step of its own decision, so a call keeps the
earlier decision of some actors and decides anew for the others. Replay gets decisions:
one row has the observation at which the decision was made, its agent action, and, of
the n steps that it lasted,

    reward    r_0 + gamma d_0 r_1 + ... + gamma^(n-1) d_0 ... d_{n-2} r_{n-1},
    discount  gamma^(n-1) d_0 ... d_{n-1},

so that the learner's one factor of gamma makes the target of n steps, also where an
episode ends within a decision. For n = 1 they equal the environment's.

Shape letters: M actors that share a policy, A environment action; [...] shapes of one
actor.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import dm_env
import numpy as np
import tensorflow as tf
from absl import logging
from acme import adders, core
from acme.tf import variable_utils

from agents.builder import Held, Policy
from agents.compiled_graph import CompiledGraph, Draws, Unsupported

NO_SKILL = -1  # stands for the skill before an episode's first decision


class ActorDecision(NamedTuple):
    """Arrays of a `Decision`, of one actor or of all."""

    agent_action: np.ndarray  # what replay stores
    environment_action: np.ndarray  # what the environment takes
    held: np.ndarray  # what lasts `skill_steps`


class VariableClient(variable_utils.VariableClient):
    """Acme's client that also notes when it has written to the variables."""

    changed = True

    def _copy(self, new_variables: Any) -> None:
        super()._copy(new_variables)
        self.changed = True


class BatchedPolicy:
    """Policy that M actors share, each in a thread of its own if there are several."""

    def __init__(
        self,
        policy: Policy,
        seed: int,
        num_actors: int = 1,
        variable_client: VariableClient | None = None,
    ):
        """Takes the policy; draws depend only on seed, number of the call, and row.

        With a `variable_client`, nothing else may change the policy's variables.
        """
        self._policy = policy
        self._seed = seed
        self._num_calls = 0
        self._draws: Draws | None = None  # of `seed`
        self._variable_client = variable_client
        self._turn = threading.Condition()
        self._present = num_actors
        self._waiting = 0
        self._num_actors = num_actors
        self._rows: dict[str, np.ndarray] = {}  # name -> [M, ...]
        self._anew = np.ones(num_actors, bool)
        self._held: Held | None = None  # where decisions last
        self._decide: Callable[[], ActorDecision] | None = None
        self._decision = ActorDecision(np.zeros([0]), np.zeros([0]), np.zeros([0]))
        self._error: Exception | None = None

    @property
    def skill_steps(self) -> int:
        """Number of control steps that a decision lasts."""
        return self._policy.skill_steps

    def restart(self, seed: int) -> None:
        """Continues as a new runner of `seed`; no actor may be waiting."""
        with self._turn:
            self._seed, self._num_calls, self._draws = seed, 0, None

    def decide(
        self, row: int, observation: Mapping[str, np.ndarray], anew: bool = True
    ) -> ActorDecision:
        """Returns an actor's agent action [...], environment action [A] and held [...].

        Waits until all actors that have not left have asked. An error of the call is
        raised in every actor.

        Args:
          row: row of the actor.
          observation: name -> [...].
          anew: whether to decide anew; if not, the actor holds its last decision.
        """
        with self._turn:
            if not self._rows:
                for key, value in observation.items():
                    shape = (self._num_actors, *np.shape(value))
                    self._rows[key] = np.zeros(shape, np.asarray(value).dtype)
            for key, rows in self._rows.items():
                rows[row] = observation[key]
            self._anew[row] = anew
            self._waiting += 1
            call = self._num_calls
            if self._waiting >= self._present:
                self._run()
            else:
                self._turn.wait_for(lambda: self._num_calls != call)
            if self._error is not None:
                raise self._error
            # No call overwrites these before all actors have asked again, this one too.
            return ActorDecision(*(part[row] for part in self._decision))

    def _run(self) -> None:
        try:
            if self._decide is None:
                self._decide = self._compile()
            self._decision = self._decide()
            if self._held is not None:
                self._held.held[...] = self._decision.held
        except Exception as e:
            self._error = e
        self._waiting = 0
        self._num_calls += 1
        self._turn.notify_all()

    def _compile(self) -> Callable[[], ActorDecision]:
        """Returns a function that decides on the rows' values at the time of its call.

        It runs in TensorFlow for images, and where functions run eagerly for debugging.
        """
        specs = [_specs(self._rows), tf.TensorSpec([2], tf.int32)]
        function = tf.function(self._policy.__call__, autograph=False)
        if self.skill_steps > 1:
            # A new decision has the shape of what is held.
            decided = function.get_concrete_function(*specs).structured_outputs
            held = decided.agent_action if decided.held is None else decided.held
            held = np.zeros(held.shape, held.dtype.as_numpy_dtype)
            self._held = Held(held, self._anew)
            specs.append(_specs(self._held))
        if not tf.config.functions_run_eagerly():
            try:
                return self._by_graph(CompiledGraph(function, *specs))
            except Unsupported as e:
                logging.info("the policy runs in TensorFlow: %s", e)

        def decide() -> ActorDecision:
            rows, held = tf.nest.map_structure(
                tf.constant, (self._rows, () if self._held is None else (self._held,))
            )
            seed = tf.constant([self._seed, self._num_calls], tf.int32)
            return _decision(*tf.nest.flatten(function(rows, seed, *held)))

        return decide

    def _by_graph(self, graph: CompiledGraph) -> Callable[[], ActorDecision]:
        client = self._variable_client
        # Flattened in TensorFlow's order. The seed is not read: draws are passed in.
        arguments = tf.nest.flatten((self._rows, np.zeros([2], np.int32)))
        if self._held is not None:
            arguments += self._held

        def decide() -> ActorDecision:
            # The check for changes costs half as much as the policy itself.
            if client is None or client.changed:
                graph.refresh_if_changed()
            if client is not None:
                client.changed = False
            if self._draws is None:
                self._draws = Draws(self._seed, graph.draws)
            return _decision(*graph(arguments, self._draws.of_call(self._num_calls)))

        return decide

    def update(self, wait: bool = False) -> None:
        """Fetches variables if the update period has passed."""
        if self._variable_client is not None:
            with self._turn:
                self._variable_client.update(wait)

    def leave(self) -> None:
        """Removes an actor, so that the others no longer wait for it."""
        with self._turn:
            self._present -= 1
            if 0 < self._present <= self._waiting:
                self._run()


def _specs(arrays: Any) -> Any:
    return tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), arrays)


def _decision(
    agent_actions: Any, environment_actions: Any, held: Any = None
) -> ActorDecision:
    """Makes arrays of a decision; `held` defaults to the agent actions."""
    agent_actions = np.asarray(agent_actions)
    return ActorDecision(
        agent_actions,
        np.asarray(environment_actions),
        agent_actions if held is None else np.asarray(held),
    )


class Outcome:
    """Reward and discount of a decision as replay stores them; see the module."""

    def __init__(self, gamma: float):
        """Starts a decision; `gamma` is the agent's discount."""
        self._gamma, self._scale = gamma, 1.0
        self.reward, self.discount = 0.0, 1.0

    def add(self, reward: float, discount: float) -> None:
        """Adds the reward and discount of a control step."""
        self.reward += self._scale * reward
        self.discount = self._scale * discount
        self._scale = self._gamma * self.discount


class BatchedActor(core.Actor):
    """Actor that stores its decisions and marks the rows that hold a transition.

    The sequence adder fills the final observation's row and the padding after it with
    zeros; the mark, `valid`, tells transitions from both.
    """

    def __init__(
        self,
        runner: BatchedPolicy,
        row: int = 0,
        adder: adders.Adder | None = None,
        gamma: float = 1.0,
        stores_skills: bool = False,
    ):
        """Starts an episode.

        Args:
          runner: policy that the actors share.
          row: number of the actor among those of the runner.
          adder: adder of replay; None stores nothing.
          gamma: the agent's discount, of the rewards within a decision.
          stores_skills: whether replay also gets the skill that is held, as `skill`,
            and that of the last decision, as `previous_skill` (`NO_SKILL` at first).
        """
        self._runner = runner
        self._row = row
        self._adder = adder
        self._gamma = gamma
        self._stores_skills = stores_skills
        self._agent_action: np.ndarray | None = None
        self._begin_episode()

    def _begin_episode(self) -> None:
        self._step = 0  # of the decision
        self._outcome = Outcome(self._gamma)
        self._skill: np.integer | np.ndarray = np.int32(NO_SKILL)
        self._previous_skill: np.integer | np.ndarray = self._skill

    def restart(self, seed: int) -> None:
        """Starts an episode as a new actor of `seed` would; it is the only actor."""
        self._runner.restart(seed)
        self._begin_episode()

    def select_action(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the environment action [A] for an observation name -> [size]."""
        anew = self._step == 0
        agent_action, action, held = self._runner.decide(self._row, observation, anew)
        if anew:
            self._agent_action = agent_action
            self._skill, self._previous_skill = held, self._skill
        self._step = (self._step + 1) % self._runner.skill_steps
        return action

    @property
    def agent_action(self) -> np.ndarray | None:
        """Agent action of the last decision, as replay stores it."""
        return self._agent_action

    def observe_first(self, timestep: dm_env.TimeStep) -> None:
        """Starts an episode, also in replay."""
        self._begin_episode()
        if self._adder is not None:
            _check_finite(timestep)
            self._adder.add_first(timestep)

    def observe(self, action: Any, next_timestep: dm_env.TimeStep) -> None:
        """Stores the decision if it ends with this step."""
        del action
        if self._adder is None:
            return
        _check_finite(next_timestep)
        reward, discount = next_timestep.reward, next_timestep.discount
        self._outcome.add(float(reward), float(discount))
        if self._step != 0 and not next_timestep.last():
            return
        extras: dict[str, np.generic | np.ndarray] = {"valid": np.float32(1.0)}
        if self._stores_skills:
            extras |= {"skill": self._skill, "previous_skill": self._previous_skill}
        decided = next_timestep._replace(
            reward=np.asarray(reward).dtype.type(self._outcome.reward),
            discount=np.asarray(discount).dtype.type(self._outcome.discount),
        )
        self._adder.add(self._agent_action, decided, extras=extras)
        self._outcome = Outcome(self._gamma)

    def update(self, wait: bool = False) -> None:
        """Fetches variables if the update period has passed (first actor only)."""
        if self._row == 0:
            self._runner.update(wait)

    def leave(self) -> None:
        """Ends the actor's part in the shared calls; see `BatchedPolicy`."""
        self._runner.leave()


def _check_finite(timestep: dm_env.TimeStep) -> None:
    """Raises FloatingPointError where a value is not finite, so replay stays finite."""
    for key, value in timestep.observation.items():
        if not np.isfinite(value).all():
            raise FloatingPointError(f"observation {key!r} is not finite")
    if timestep.reward is not None and not np.isfinite(timestep.reward).all():
        raise FloatingPointError(f"reward is not finite: {timestep.reward}")
