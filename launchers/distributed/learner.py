"""Learner node of the distributed program."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import reverb
from acme.utils import counting

from launchers.common import loggers
from launchers.distributed.heartbeat import Heartbeat
from launchers.distributed.interleave import InterleavedIterator
from launchers.distributed.node_entry import POLL_SECONDS, enter_node
from launchers.distributed.retrying_client import RetryingClient
from launchers.experiments.config import Experiment


class LearnerNode:
    """Node that learns, serves variables, and saves a checkpoint when it stops."""

    def __init__(
        self,
        experiment: Experiment,
        replays: Sequence[reverb.Client],
        coordinator: Any,
    ):
        self._stop = enter_node()
        self._heartbeat = Heartbeat("learner", coordinator, self._stop)
        counter = RetryingClient(
            coordinator, "coordinator", self._stop, self._heartbeat.waiting
        )
        builder = experiment.builder_factory()
        networks = builder.make_networks(experiment.environment_spec, experiment.seed)
        shards = [builder.make_dataset_iterator(replay) for replay in replays]
        dataset = shards[0] if len(shards) == 1 else InterleavedIterator(shards)
        self._learner = builder.make_learner(
            networks,
            self._watched(dataset),
            directory=experiment.workdir,
            counter=counting.Counter(counter, "learner"),
            logger=loggers.make_logger(
                experiment.workdir,
                "learner",
                "learner_steps",
                time_delta=1.0,
                further=experiment.budget.loggers,
            ),
        )
        # A process that was killed has logged steps that this one takes again.
        loggers.rewind(
            experiment.workdir, "learner", "learner_steps", self._learner.num_steps
        )
        # Corrects a count kept before or after the last checkpoint.
        counted = counter.get_counts().get("learner_steps", 0)
        counter.increment(learner_steps=self._learner.num_steps - counted)
        self._checkpoint_seconds = 60.0 * experiment.budget.checkpoint_minutes
        self._error: BaseException | None = None

    def _watched(self, dataset: Iterator[Any]) -> Iterator[Any]:
        while True:
            with self._heartbeat.waiting("samples from replay"):
                sample = next(dataset)
            yield sample

    def get_variables(self, names: Sequence[str]) -> Any:
        """Returns the learner's variables of these names."""
        return self._learner.get_variables(names)

    def run(self) -> None:
        """Learns until the program stops.

        Raises:
          Exception: the exception that ended the learner's thread.
        """
        # In its own thread, because a wait for data cannot be interrupted.
        thread = threading.Thread(target=self._learn, daemon=True)
        thread.start()
        while thread.is_alive() and not self._stop.is_set():
            thread.join(POLL_SECONDS)
        if self._error is not None:
            raise self._error
        self._learner.save_checkpoint()

    def _learn(self) -> None:
        try:
            saved = -math.inf  # saves after the first step, as an early check
            while not self._stop.is_set():
                self._learner.step()
                if time.monotonic() - saved >= self._checkpoint_seconds:
                    self._learner.save_checkpoint()
                    saved = time.monotonic()
        except BaseException as e:  # also what exits: the program needs its learner
            if not self._stop.is_set():
                self._error = e
