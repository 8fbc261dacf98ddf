"""Coordinator node of the distributed program."""

from __future__ import annotations

import math
import numbers
import pathlib
import threading
import time
from collections.abc import Sequence
from typing import Any

import launchpad as lp
import reverb
from absl import logging
from acme.utils import loggers as acme_loggers

from launchers.common import loggers, signals
from launchers.common.guard import Guard
from launchers.distributed import status
from launchers.distributed.heartbeat import Register
from launchers.distributed.node_entry import POLL_SECONDS, enter_node
from launchers.experiments import loop_hooks
from launchers.experiments.config import Experiment

_PERSIST_SECONDS = 2.0
_LOG_SECONDS = 10.0


def forget_earlier_program(workdir: str) -> None:
    """Removes files of an earlier program's coordinator; launchers call this."""
    signals.forget_reason(workdir)
    status.forget(workdir)


class CoordinatorNode:
    """Node that keeps the counts, collects heartbeats, and ends the program."""

    def __init__(self, experiment: Experiment, replays: Sequence[reverb.Client]):
        self._stop = enter_node()
        self._budget = experiment.budget
        self._workdir = pathlib.Path(experiment.workdir)
        self._counter = loop_hooks.PersistentCounter(experiment.workdir)
        self._replays = replays
        self._register = Register()
        self._guard = Guard("the report of the program's status", logging.error)
        self._logger: acme_loggers.Logger | None = None
        with self._guard:
            done = int(self._counter.get_counts().get("actor_steps", 0))
            loggers.rewind(experiment.workdir, "program", "actor_steps", done)
        # A coordinator that was killed resumes from its last status; the launcher has
        # removed any older status.
        earlier = status.read(experiment.workdir) or {}
        self._begin = time.monotonic() - earlier.get("seconds", 0.0)

    def increment(self, **counts: float) -> dict[str, float]:
        """Adds to the counts and returns all of them.

        Raises:
          ValueError: a count is not a finite number; no count has changed.
        """
        for name, count in counts.items():
            if not isinstance(count, numbers.Real) or not math.isfinite(count):
                raise ValueError(
                    f"the count {name} grows by {count!r}, not by a number"
                )
        return self._counter.increment(**counts)

    def get_counts(self) -> dict[str, float]:
        """Returns all counts."""
        return self._counter.get_counts()

    def beat(self, name: str, state: dict[str, Any]) -> None:
        """Records a node's heartbeat; raises ValueError if it is none."""
        self._register.beat(name, state)

    def run(self) -> None:
        """Persists the counts, and stops the program when its budget is spent."""
        threading.Thread(target=self._report, daemon=True).start()
        budget, asked, persisted = self._budget, False, time.monotonic()
        while not self._stop.wait(POLL_SECONDS):
            now = time.monotonic()
            if now - persisted >= _PERSIST_SECONDS:
                self._counter.persist()
                persisted = now
            steps = self._counter.get_counts().get("actor_steps", 0)
            enough = (
                budget.max_actor_steps is not None and steps >= budget.max_actor_steps
            )
            late = (
                budget.run_seconds is not None
                and now - self._begin >= budget.run_seconds
            )
            if (enough or late) and not asked:
                asked = True
                (self._workdir / signals.STOPPED).write_text(
                    "max_actor_steps" if enough else "run_seconds"
                )
                lp.stop()
        # The other nodes report their last counts while they stop.
        time.sleep(2 * POLL_SECONDS)
        self._counter.persist()

    def _report(self) -> None:
        """Writes the status at intervals, for the monitor and the launcher."""
        while not self._stop.wait(status.WRITE_SECONDS):
            with self._guard:
                self._report_once()

    def _report_once(self) -> None:
        shards = [self._shard(replay) for replay in self._replays]
        counts = dict(self._counter.get_counts())
        nodes = self._register.nodes()
        seconds = time.monotonic() - self._begin
        content = status.write(self._workdir, seconds, counts, nodes, shards)
        if self._logger is None:
            self._logger = loggers.make_logger(
                str(self._workdir), "program", "actor_steps", time_delta=_LOG_SECONDS
            )
        steps = {"actor_steps": 0, "learner_steps": 0, **counts}
        self._logger.write({**steps, **status.scalars(content)})

    def _shard(self, replay: reverb.Client) -> dict[str, Any] | None:
        """Returns a shard's state; None where it cannot be had, as if it was silent."""
        with self._guard:
            return status.of_replay(replay)
        return None
