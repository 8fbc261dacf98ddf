"""Actor node of the distributed program: one process, a thread per actor."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import reverb
from acme import EnvironmentLoop, core
from acme.utils import counting

from agents.builder import Stopped
from launchers.common import loggers
from launchers.distributed.heartbeat import Heartbeat
from launchers.distributed.node_entry import enter_node
from launchers.distributed.retrying_client import RetryingClient
from launchers.experiments import loop_hooks
from launchers.experiments.config import Experiment, derive_seed


class ActorNode:
    """Node that acts and fills replay, by actors in threads that batch policy calls."""

    def __init__(
        self,
        experiment: Experiment,
        name: str,
        indices: Sequence[int],
        replay: reverb.Client,
        variable_source: Any,
        coordinator: Any,
    ):
        """Makes the actors whose numbers in the program are `indices`."""
        stop = enter_node()
        heartbeat = Heartbeat(name, coordinator, stop)
        counter = RetryingClient(coordinator, "coordinator", stop, heartbeat.waiting)
        source = RetryingClient(variable_source, "learner", stop, heartbeat.waiting)
        builder = experiment.builder_factory()
        done = int(counter.get_counts().get("actor_steps", 0))
        networks = builder.make_networks(experiment.environment_spec, experiment.seed)
        with heartbeat.waiting("the learner's first variables"):
            actors = builder.make_actors(
                builder.make_policy(networks),
                derive_seed(experiment.seed, "actor", indices[0], done),
                [
                    builder.make_adder(replay, stop.is_set, heartbeat.waiting)
                    for _ in indices
                ],
                source,
            )
        self._actors = [
            _Actor(experiment, index, done, actor, counter, stop)
            for index, actor in zip(indices, actors, strict=True)
        ]

    def run(self) -> None:
        """Acts until the program stops."""
        loop_hooks.run_together([actor.run for actor in self._actors])


class _Actor:
    """One actor in its own environment."""

    def __init__(
        self,
        experiment: Experiment,
        index: int,
        done: int,
        actor: core.Actor,
        counter: Any,
        stop: threading.Event,
    ):
        self._stop = stop
        self._actor = actor
        loggers.rewind(experiment.workdir, f"actor_{index}", "actor_steps", done)
        self._logger = loggers.make_logger(
            experiment.workdir,
            f"actor_{index}",
            "actor_steps",
            # The first is enough: a sink has a run for each node, and actors are many.
            further=experiment.budget.loggers if index == 0 else (),
        )
        self._environment = experiment.environment_factory(
            derive_seed(experiment.seed, "environment", index, done)
        )
        self._loop = EnvironmentLoop(
            self._environment,
            loop_hooks.Hooked(actor, self._after_step),
            counter=counting.Counter(counter, "actor", time_delta=0.0),
            logger=self._logger,
            observers=[loop_hooks.SuccessObserver()],
        )

    def _after_step(self) -> None:
        self._actor.update()
        loop_hooks.raise_if(self._stop.is_set)

    def run(self) -> None:
        """Acts until the program stops."""
        try:
            while not self._stop.is_set():
                result = self._loop.run_episode()
                self._logger.write({"actor_steps": 0, "learner_steps": 0, **result})
        except Stopped:
            pass
        except Exception:
            # While the program stops, other nodes may be gone before this one.
            if not self._stop.is_set():
                raise
        finally:
            self._actor.leave()
        self._environment.close()
