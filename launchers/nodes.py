"""The nodes of the distributed program. Each makes its parts where it runs."""

from __future__ import annotations

import ctypes
import math
import os
import pathlib
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import launchpad as lp
import reverb
import tensorflow as tf
from absl import logging
from acme import EnvironmentLoop, core
from acme.utils import counting
from launchpad import context
from reverb.platform import checkpointers_lib

from agents.mpo.adder import Stopped
from launchers import (
    acting,
    evaluation,
    files,
    recording,
    run_logs,
    snapshots,
    status,
)
from launchers.experiment import Experiment, derive_seed
from launchers.health import Health, Register
from launchers.mixing import MixedIterator
from launchers.patient import PatientClient

STOPPED = ".stopped_by"  # in the work directory: why the coordinator ended the program

_POLL_SECONDS = 0.5
_PERSIST_SECONDS = 2.0
_LOG_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 8.0  # the launchers kill after 10


def enter_node(one_thread: bool = False) -> threading.Event:
    """First call in every node, in its own thread: returns the event of the stop."""
    if context.get_context().launch_type is lp.LaunchType.LOCAL_MULTI_PROCESSING:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        _exit_after_signal()
        if one_thread:
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
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


class ReplayTables:
    """Makes the tables in a replay node."""

    def __init__(self, experiment: Experiment):
        self._experiment = experiment

    def __call__(self) -> Sequence[reverb.Table]:
        """The tables."""
        enter_node()
        builder = self._experiment.builder_factory()
        return builder.make_replay_tables(self._experiment.environment_spec)


class ReplayStore:
    """Makes the checkpointer of a shard, whose process starts with its newest one."""

    def __init__(self, experiment: Experiment, shard: int):
        self._experiment = experiment
        self._shard = shard

    def __call__(self) -> checkpointers_lib.CheckpointerBase:
        """The checkpointer; a checkpoint of other limits or sizes is removed."""
        experiment = self._experiment
        root = pathlib.Path(experiment.workdir) / "checkpoints" / "replay_shards"
        tables = experiment.builder_factory().make_replay_tables(
            experiment.environment_spec
        )
        settings, record = snapshots.settings(tables), root / f"{self._shard}.json"
        directory = root / str(self._shard)
        if directory.exists() and (
            not record.exists() or files.read_json(record) != settings
        ):
            logging.warning("replay/%d starts empty: its settings changed", self._shard)
            shutil.rmtree(directory)
        files.write_json(record, settings)
        return reverb.checkpointers.DefaultCheckpointer(str(directory))


class ReplayKeeper:
    """Has the replay shards write checkpoints, from which a new process goes on."""

    def __init__(
        self,
        experiment: Experiment,
        replays: Sequence[reverb.Client],
        coordinator: Any,
    ):
        self._stop = enter_node()
        self._seconds = 60.0 * experiment.budget.checkpoint_minutes
        self._replays = replays
        self._health = Health("replay_keeper", coordinator, self._stop)

    def run(self) -> None:
        """Works until the program stops."""
        # Once more when it stops: the next run goes on with what there is.
        while not self._stop.wait(self._seconds):
            self._save()
        self._save()

    def _save(self) -> None:
        for i, replay in enumerate(self._replays):
            with self._health.waiting(f"a checkpoint of replay/{i}"):
                try:
                    replay.checkpoint()
                except Exception as e:  # a shard that is away is saved the next time
                    logging.warning("no checkpoint of replay/%d: %s", i, e)


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
            logger=run_logs.make_logger(
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
        stop = enter_node(one_thread=True)
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
        acting.run_together([actor.run for actor in self._actors])


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
        self._logger = run_logs.make_logger(
            experiment.workdir, f"actor_{index}", "actor_steps"
        )
        self._environment = experiment.environment_factory(
            derive_seed(experiment.seed, "environment", index, done)
        )
        self._loop = EnvironmentLoop(
            self._environment,
            acting.Hooked(actor, self._after_step),
            counter=counting.Counter(counter, "actor", time_delta=0.0),
            logger=self._logger,
            observers=[acting.SuccessObserver()],
        )

    def _after_step(self) -> None:
        self._actor.update()
        acting.raise_if(self._stop.is_set)

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
        self._stop = stop = enter_node(one_thread=True)
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
        logger = run_logs.make_logger(experiment.workdir, "evaluator", "actor_steps")
        due = run_logs.next_evaluation(
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
            recorder = recording.Recorder() if budget.eval_video else None
            result = evaluation.run_episodes(
                environment,
                actor,
                budget.eval_episodes,
                experiment.seed,
                self._stop.is_set,
                recorder,
            )
            if result is not None:
                if recorder is not None:
                    recorder.write(recording.path(experiment.workdir, actor_steps))
                counts = {"actor_steps": 0, "learner_steps": 0, **counts}
                logger.write({**counts, **result.scalars()})
            while due <= actor_steps:
                due += budget.eval_every
        environment.close()


class CoordinatorNode:
    """Counts for everybody, hears how they are, ends the program when it is done."""

    def __init__(self, experiment: Experiment, replays: Sequence[reverb.Client]):
        self._stop = enter_node()
        self._budget = experiment.budget
        self._workdir = pathlib.Path(experiment.workdir)
        self._counter = acting.PersistentCounter(experiment.workdir)
        self._replays = replays
        self._register = Register()

    def increment(self, **counts: float) -> dict[str, float]:
        """Adds, and returns all counts."""
        return self._counter.increment(**counts)

    def get_counts(self) -> dict[str, float]:
        """All counts."""
        return self._counter.get_counts()

    def beat(self, name: str, state: dict[str, Any]) -> None:
        """A node tells what it waits on."""
        self._register.beat(name, state)

    def run(self) -> None:
        """Works until the program stops."""
        threading.Thread(target=self._tell, daemon=True).start()
        budget, begin = self._budget, time.monotonic()
        asked, persisted = False, begin
        while not self._stop.wait(_POLL_SECONDS):
            now = time.monotonic()
            if now - persisted >= _PERSIST_SECONDS:
                self._counter.persist()
                persisted = now
            steps = self._counter.get_counts().get("actor_steps", 0)
            enough = (
                budget.max_actor_steps is not None and steps >= budget.max_actor_steps
            )
            late = budget.run_seconds is not None and now - begin >= budget.run_seconds
            if (enough or late) and not asked:
                asked = True
                (self._workdir / STOPPED).write_text(
                    "max_actor_steps" if enough else "run_seconds"
                )
                lp.stop()
        # The others report their last counts while they stop.
        time.sleep(2 * _POLL_SECONDS)
        self._counter.persist()

    def _tell(self) -> None:
        """Writes the status now and then, for the monitor and the launcher."""
        logger = run_logs.make_logger(
            str(self._workdir), "program", "actor_steps", time_delta=_LOG_SECONDS
        )
        while not self._stop.wait(status.WRITE_SECONDS):
            shards = [status.of_replay(replay) for replay in self._replays]
            counts = dict(self._counter.get_counts())
            nodes = self._register.nodes()
            content = status.write(self._workdir, counts, nodes, shards)
            steps = {"actor_steps": 0, "learner_steps": 0, **counts}
            logger.write({**steps, **status.scalars(content)})
