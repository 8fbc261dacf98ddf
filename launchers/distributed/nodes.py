"""Nodes that learn, act and evaluate. Each makes its parts where it runs."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import launchpad as lp
import reverb
from acme import EnvironmentLoop, core
from acme.utils import counting
from launchpad import context

from agents.builder import Stopped
from launchers.common import loggers
from launchers.distributed import process_env
from launchers.distributed.heartbeat import Health
from launchers.distributed.interleave import MixedIterator
from launchers.distributed.retrying_client import PatientClient
from launchers.experiments import evaluation as experiments_evaluation
from launchers.experiments import loop_hooks
from launchers.experiments.config import Experiment, derive_seed

_POLL_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 8.0  # the launchers kill after 10


def enter_node() -> threading.Event:
    """First call in every node, in its own thread: returns the event of the stop."""
    if context.get_context().launch_type is lp.LaunchType.LOCAL_MULTI_PROCESSING:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        _exit_after_signal()
        if os.environ.get(process_env.LAUNCHER) not in (None, str(os.getppid())):
            os.kill(os.getpid(), signal.SIGTERM)  # The launcher died before this.
    return lp.stop_event()


def _exit_after_signal() -> None:
    """Ends this process a while after SIGTERM or SIGINT, whatever it is doing.

    Python runs signal handlers in the main thread only, and not before the call returns
    that it is in; a call to a node that is gone never returns. The pipe is written to
    when the signal arrives.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def wait() -> None:
        while not {signal.SIGTERM, signal.SIGINT} & set(os.read(read, 1)):
            pass
        time.sleep(_GRACE_SECONDS)
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


class LearnerNode:
    """Learns, and hands out variables. Saves a checkpoint when the program stops."""

    def __init__(
        self,
        experiment: Experiment,
        replays: Sequence[reverb.Client],
        coordinator: Any,
    ):
        self._stop = enter_node()
        self._health = Health("learner", coordinator, self._stop)
        counter = PatientClient(
            coordinator, "coordinator", self._stop, self._health.waiting
        )
        builder = experiment.builder_factory()
        networks = builder.make_networks(experiment.environment_spec, experiment.seed)
        shards = [builder.make_dataset_iterator(replay) for replay in replays]
        dataset = shards[0] if len(shards) == 1 else MixedIterator(shards)
        self._learner = builder.make_learner(
            networks,
            self._watched(dataset),
            directory=experiment.workdir,
            counter=counting.Counter(counter, "learner"),
            logger=loggers.make_logger(
                experiment.workdir, "learner", "learner_steps", time_delta=1.0
            ),
        )
        # A count that was kept before the last checkpoint, or after it, is corrected.
        counted = counter.get_counts().get("learner_steps", 0)
        counter.increment(learner_steps=self._learner.num_steps - counted)
        self._checkpoint_seconds = 60.0 * experiment.budget.checkpoint_minutes
        self._error: BaseException | None = None

    def _watched(self, dataset: Iterator[Any]) -> Iterator[Any]:
        while True:
            with self._health.waiting("samples from replay"):
                sample = next(dataset)
            yield sample

    def get_variables(self, names: Sequence[str]) -> Any:
        """The learner's."""
        return self._learner.get_variables(names)

    def run(self) -> None:
        """Works until the program stops."""
        # In a thread of its own, because waiting for data cannot be interrupted.
        thread = threading.Thread(target=self._learn, daemon=True)
        thread.start()
        while thread.is_alive() and not self._stop.is_set():
            thread.join(_POLL_SECONDS)
        if self._error is not None:
            raise self._error
        self._learner.save_checkpoint()

    def _learn(self) -> None:
        try:
            saved = -math.inf  # the first step shows that saving works
            while not self._stop.is_set():
                self._learner.step()
                if time.monotonic() - saved >= self._checkpoint_seconds:
                    self._learner.save_checkpoint()
                    saved = time.monotonic()
        except Exception as e:
            if not self._stop.is_set():
                self._error = e


class ActorNode:
    """Acts and fills replay: actors in threads that share the policy's calls."""

    def __init__(
        self,
        experiment: Experiment,
        name: str,
        indices: Sequence[int],
        replay: reverb.Client,
        variable_source: Any,
        coordinator: Any,
    ):
        """`indices` are the actors' numbers in the program."""
        stop = enter_node()
        health = Health(name, coordinator, stop)
        counter = PatientClient(coordinator, "coordinator", stop, health.waiting)
        source = PatientClient(variable_source, "learner", stop, health.waiting)
        builder = experiment.builder_factory()
        done = int(counter.get_counts().get("actor_steps", 0))
        networks = builder.make_networks(experiment.environment_spec, experiment.seed)
        with health.waiting("the learner's first variables"):
            actors = builder.make_actors(
                builder.make_policy(networks),
                derive_seed(experiment.seed, "actor", indices[0], done),
                [
                    builder.make_adder(replay, stop.is_set, health.waiting)
                    for _ in indices
                ],
                source,
            )
        self._actors = [
            _Actor(experiment, index, done, actor, counter, stop)
            for index, actor in zip(indices, actors, strict=True)
        ]

    def run(self) -> None:
        """Works until the program stops."""
        loop_hooks.run_together([actor.run for actor in self._actors])


class _Actor:
    """One actor in an environment of its own."""

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
        self._logger = loggers.make_logger(
            experiment.workdir, f"actor_{index}", "actor_steps"
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
        """Works until the program stops."""
        try:
            while not self._stop.is_set():
                result = self._loop.run_episode()
                self._logger.write({"actor_steps": 0, "learner_steps": 0, **result})
        except Stopped:
            pass
        except Exception:
            # While the program stops, others are gone before us.
            if not self._stop.is_set():
                raise
        finally:
            self._actor.leave()
        self._environment.close()


class EvaluatorNode:
    """Evaluates at the start and then every so many actor steps."""

    def __init__(self, experiment: Experiment, learner: Any, coordinator: Any):
        self._stop = stop = enter_node()
        self._experiment = experiment
        waiting = Health("evaluator", coordinator, stop).waiting
        self._learner = PatientClient(learner, "learner", stop, waiting)
        self._counter = PatientClient(coordinator, "coordinator", stop, waiting)

    def run(self) -> None:
        """Works until the program stops."""
        budget = self._experiment.budget
        if not budget.eval_episodes:
            self._stop.wait()
            return
        try:
            self._evaluate_repeatedly()
        except Exception:
            if not self._stop.is_set():
                raise

    def _evaluate_repeatedly(self) -> None:
        experiment, budget = self._experiment, self._experiment.budget
        builder = experiment.builder_factory()
        networks = builder.make_networks(experiment.environment_spec, experiment.seed)
        environment = experiment.environment_factory(
            derive_seed(experiment.seed, "evaluator environment")
        )
        logger = loggers.make_logger(experiment.workdir, "evaluator", "actor_steps")
        due = loggers.next_evaluation(
            experiment.workdir,
            int(self._counter.get_counts().get("actor_steps", 0)),
            budget.eval_every,
        )
        while not self._stop.is_set():
            counts = self._counter.get_counts()
            actor_steps = int(counts.get("actor_steps", 0))
            if actor_steps < due:
                self._stop.wait(_POLL_SECONDS)
                continue
            # Made anew, which waits for the learner's variables of now.
            actor = builder.make_actor(
                builder.make_policy(networks, evaluation=True),
                derive_seed(experiment.seed, "evaluator", actor_steps),
                variable_source=self._learner,
            )
            result = experiments_evaluation.evaluate_in_run(
                experiment, environment, actor, actor_steps, self._stop.is_set
            )
            if result is not None:
                counts = {"actor_steps": 0, "learner_steps": 0, **counts}
                logger.write({**counts, **result.scalars()})
            while due <= actor_steps:
                due += budget.eval_every
        environment.close()
