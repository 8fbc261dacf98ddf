"""Acting: one compiled call for all actors of a process; replay gets the latent.

A call costs a processor about as much for a few observations as for one, so actors that
share a process share their calls: each waits until all have asked.

Shape letters: M actors that share a policy, D action; [...] of one actor.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import dm_env
import numpy as np
import tensorflow as tf
from absl import logging
from acme import adders, core
from acme.tf import variable_utils

from agents.builder import Policy
from agents.compiled_graph import CompiledGraph, Draws, Unsupported


class VariableClient(variable_utils.VariableClient):
    """Acme's; tells when it has written to the variables."""

    changed = True

    def _copy(self, new_variables: Any) -> None:
        super()._copy(new_variables)
        self.changed = True


class PolicyRunner:
    """Runs a policy for M actors, each in a thread of its own if there are several."""

    def __init__(
        self,
        policy: Policy,
        seed: int,
        num_actors: int = 1,
        variable_client: VariableClient | None = None,
    ):
        """All randomness comes from (seed, number of the call), and the actor's row.

        With a client, nothing else may change the policy's variables.
        """
        self._policy = policy
        self._seed = seed
        self._num_calls = 0
        self._draws: Draws | None = None  # of this seed
        self._variable_client = variable_client
        self._turn = threading.Condition()
        self._present = num_actors
        self._waiting = 0
        self._num_actors = num_actors
        self._rows: dict[str, np.ndarray] = {}  # name -> [M, ...]
        self._decide: Callable[[], tuple[np.ndarray, np.ndarray]] | None = None
        self._latents = self._actions = np.zeros([0])
        self._error: Exception | None = None

    def restart(self, seed: int) -> None:
        """Decides from here on as a new runner of this seed; no actor waits."""
        with self._turn:
            self._seed, self._num_calls, self._draws = seed, 0, None

    def decide(
        self, row: int, observation: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Latent [...] and action [D] of an actor for its observation name -> [...].

        Returns when all that have not left have asked. An error of the call is raised
        in every actor.
        """
        with self._turn:
            if not self._rows:
                for key, value in observation.items():
                    shape = (self._num_actors, *np.shape(value))
                    self._rows[key] = np.zeros(shape, np.asarray(value).dtype)
            for key, rows in self._rows.items():
                rows[row] = observation[key]
            self._waiting += 1
            call = self._num_calls
            if self._waiting >= self._present:
                self._run()
            else:
                self._turn.wait_for(lambda: self._num_calls != call)
            if self._error is not None:
                raise self._error
            # Nobody writes these before all have asked again, this actor too.
            return self._latents[row], self._actions[row]

    def _run(self) -> None:
        try:
            if self._decide is None:
                self._decide = self._compile()
            self._latents, self._actions = self._decide()
        except Exception as e:
            self._error = e
        self._waiting = 0
        self._num_calls += 1
        self._turn.notify_all()

    def _compile(self) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
        """What decides on the rows as they are when it is called.

        TensorFlow does on images, and where functions run eagerly to be looked into.
        """
        specs = {k: tf.TensorSpec(v.shape, v.dtype) for k, v in self._rows.items()}
        function = tf.function(self._policy.__call__, autograph=False)
        if not tf.config.functions_run_eagerly():
            try:
                graph = CompiledGraph(function, specs, tf.TensorSpec([2], tf.int32))
                return self._by_graph(graph)
            except Unsupported as e:
                logging.info("the policy runs in TensorFlow: %s", e)

        def decide() -> tuple[np.ndarray, np.ndarray]:
            decision = function(
                {key: tf.constant(value) for key, value in self._rows.items()},
                tf.constant([self._seed, self._num_calls], tf.int32),
            )
            return decision.latent.numpy(), decision.action.numpy()

        return decide

    def _by_graph(
        self, graph: CompiledGraph
    ) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
        client = self._variable_client
        # In TensorFlow's order; the seed is not read, the draws are made here.
        arguments = tf.nest.flatten((self._rows, np.zeros([2], np.int32)))

        def decide() -> tuple[np.ndarray, np.ndarray]:
            # To look costs half of what the policy does.
            if client is None or client.changed:
                graph.refresh_if_changed()
            if client is not None:
                client.changed = False
            if self._draws is None:
                self._draws = Draws(self._seed, graph.draws)
            latents, actions = graph(arguments, self._draws.of_call(self._num_calls))
            return latents, actions

        return decide

    def update(self, wait: bool = False) -> None:
        """Fetches variables when their time has come."""
        if self._variable_client is not None:
            with self._turn:
                self._variable_client.update(wait)

    def leave(self) -> None:
        """An actor asks no more, so the others need not wait for it."""
        with self._turn:
            self._present -= 1
            if 0 < self._present <= self._waiting:
                self._run()


class LatentActor(core.Actor):
    """Acts by a runner and stores what was decided, with a flag in rows that are real.

    Acme's sequence adder fills the final observation's row and the padding after it
    with zeros, so the flag `valid` tells transitions from both.
    """

    def __init__(
        self, runner: PolicyRunner, row: int = 0, adder: adders.Adder | None = None
    ):
        """`row` is the actor's number among those of the runner."""
        self._runner = runner
        self._row = row
        self._adder = adder
        self._latent: np.ndarray | None = None

    def select_action(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """The decoded action [D] for an observation name -> [size]."""
        self._latent, action = self._runner.decide(self._row, observation)
        return action

    @property
    def latent(self) -> np.ndarray | None:
        """What the last decision stored in replay."""
        return self._latent

    def observe_first(self, timestep: dm_env.TimeStep) -> None:
        """Starts an episode in replay."""
        if self._adder is not None:
            _check_finite(timestep)
            self._adder.add_first(timestep)

    def observe(self, action: Any, next_timestep: dm_env.TimeStep) -> None:
        """Stores the last decision's latent; `action` is what it decoded to."""
        del action
        if self._adder is not None:
            _check_finite(next_timestep)
            self._adder.add(
                self._latent, next_timestep, extras={"valid": np.float32(1.0)}
            )

    def update(self, wait: bool = False) -> None:
        """Fetches variables when their time has come, the first actor for all."""
        if self._row == 0:
            self._runner.update(wait)

    def leave(self) -> None:
        """Acts no more; see `PolicyRunner`."""
        self._runner.leave()


def _check_finite(timestep: dm_env.TimeStep) -> None:
    """Raises FloatingPointError: no value that is not finite goes into replay."""
    for key, value in timestep.observation.items():
        if not np.isfinite(value).all():
            raise FloatingPointError(f"observation {key!r} is not finite")
    if timestep.reward is not None and not np.isfinite(timestep.reward).all():
        raise FloatingPointError(f"reward is not finite: {timestep.reward}")
