"""Runs an experiment in one process: each environment step, then learner steps due.

The parts are the builder's, as in a distributed program; replay is a real Reverb
server. The learner steps when enough has been inserted (`learner_steps_due`), so
neither side waits and the table needs no limiter. Actor and learner share one policy.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import reverb
from acme import EnvironmentLoop
from acme.utils import counting
from acme.utils.loggers import base

from agents.builder import Stopped
from launchers.common import loggers, signals
from launchers.common.guard import Guard
from launchers.experiments import checkpointing, loop_hooks
from launchers.experiments import evaluation as experiments_evaluation
from launchers.experiments.config import Experiment, SetupError, derive_seed


def run(
    experiment: Experiment,
    report: Callable[[str], None] = print,
    on_restored: Callable[[Mapping[str, float]], None] | None = None,
) -> str:
    """Runs until the budget is spent, or SIGINT or SIGTERM; then saves a checkpoint.

    Args:
      experiment: experiment to run or resume.
      report: receives a line of progress at intervals.
      on_restored: called once all of an earlier run has been read, with its counts.

    Returns:
      The reason of its end: max_actor_steps, run_seconds or signal.

    Raises:
      SetupError: in one line, what of an earlier run cannot be read.
      FloatingPointError: something was not finite; the last good checkpoint is kept.
    """
    with _stop_signal() as signalled:
        try:
            made = _Run(experiment, report, signalled)
        except ValueError as e:
            raise SetupError(str(e)) from e
        if on_restored is not None:
            on_restored(made.counts())
        return made.run()


class _Run:
    def __init__(
        self,
        experiment: Experiment,
        report: Callable[[str], None],
        signalled: threading.Event,
    ):
        self._experiment = experiment
        self._budget = experiment.budget
        self._report = report
        self._signalled = signalled
        self._begin = time.monotonic()
        workdir, spec = experiment.workdir, experiment.environment_spec
        self._builder = builder = experiment.builder_factory()
        self._snapshots = checkpointing.Snapshots(workdir)
        learner_steps = builder.checkpoint_steps(workdir)
        tables = builder.make_replay_tables(spec, limit_rate=False)
        self._tables = checkpointing.settings(tables)
        snapshot = self._snapshots.load(learner_steps, self._tables, report)
        self._counter = _counter(workdir, learner_steps, snapshot)
        done = int(self._counter.get_counts().get("actor_steps", 0))

        self._server = reverb.Server(
            tables,
            port=None,
            checkpointer=self._snapshots.checkpointer(snapshot),
        )
        self._client = reverb.Client(f"localhost:{self._server.port}")
        networks = builder.make_networks(spec, experiment.seed)
        self._learner = builder.make_learner(
            networks,
            builder.make_dataset_iterator(self._client),
            directory=workdir,
            counter=counting.Counter(self._counter, "learner", time_delta=0.0),
            logger=self._make_logger("learner", "learner_steps", time_delta=1.0),
        )
        # All that is read has been read, so what is newer may go.
        self._snapshots.drop_others(learner_steps, snapshot)
        self._rewind_logs(done, learner_steps or 0)
        # Steps that replay's episodes count for, and those of the episode that runs.
        self._replay_steps = snapshot.replay_steps if snapshot is not None else 0
        self._episode_steps = 0
        # Learner steps done beyond those due for this replay, under the settings of the
        # snapshot: under other settings the learner neither pauses nor catches up.
        paid = self._builder.learner_steps_due(self._replay_steps)
        if snapshot is not None and snapshot.replay is not None:
            self._credit = snapshot.learner_credit + snapshot.learner_steps_paid - paid
        else:
            self._credit = self._learner.num_steps - paid
        self._adder = builder.make_adder(self._client, self._signalled.is_set)
        actor = builder.make_actor(
            builder.make_policy(networks),
            derive_seed(experiment.seed, "actor", done),
            self._adder,
        )
        self._environment = experiment.environment_factory(
            derive_seed(experiment.seed, "environment", done)
        )
        self._logger = self._make_logger("actor_0", "actor_steps")
        self._loop = EnvironmentLoop(
            self._environment,
            loop_hooks.Hooked(actor, self._after_step),
            counter=counting.Counter(self._counter, "actor", time_delta=0.0),
            logger=self._logger,
            observers=[loop_hooks.SuccessObserver()],
        )
        self._evaluator = builder.make_actor(
            builder.make_policy(networks, evaluation=True),
            derive_seed(experiment.seed, "evaluator", done),
        )
        self._evaluation_logger = self._make_logger("evaluator", "actor_steps")
        self._progress = loggers.Progress(workdir, self._budget.max_actor_steps)
        self._guard = Guard("the report of progress", report)
        self._next_report = self._begin + self._budget.log_seconds
        self._next_snapshot = self._begin

    def _make_logger(
        self, node: str, steps_key: str, time_delta: float = 0.0
    ) -> base.Logger:
        return loggers.make_logger(
            self._experiment.workdir,
            node,
            steps_key,
            time_delta,
            self._budget.loggers,
        )

    def _rewind_logs(self, actor_steps: int, learner_steps: int) -> None:
        """Drops log rows after the snapshot, which the resumed run writes again."""
        workdir = self._experiment.workdir
        for node in ("actor_0", "evaluator"):
            loggers.rewind(workdir, node, "actor_steps", actor_steps)
        loggers.rewind(workdir, "learner", "learner_steps", learner_steps)

    def run(self) -> str:
        """Runs episodes and evaluations until the budget is spent."""
        every = self._budget.eval_every
        actor_steps = int(self._counter.get_counts().get("actor_steps", 0))
        next_evaluation = loggers.next_evaluation(
            self._experiment.workdir, actor_steps, every
        )
        try:
            while (reason := self._spent(actor_steps)) is None:
                if actor_steps >= next_evaluation:
                    self._evaluate(actor_steps)
                    next_evaluation = every * (1 + actor_steps // every)
                self._episode_steps = 0
                result = self._loop.run_episode()
                self._logger.write(result)
                actor_steps = int(result["actor_steps"])
                episode_steps = int(result["episode_length"])
                self._replay_steps += self._builder.steps_stored(episode_steps)
                if time.monotonic() >= self._next_snapshot:
                    self._save()
        except Stopped:
            reason = self._spent(0) or "signal"
        finally:
            # In all cases the variables are those of a complete and finite step.
            self._save()
        self._report_progress()
        self._environment.close()
        # Otherwise writer and data set, when deleted, wait 10 s for a lost server.
        with contextlib.suppress(Stopped):
            self._adder.reset()
        # The server waits 5 s for streams that are open, of the writer and the sampler.
        del self._learner, self._loop, self._adder
        self._server.stop()
        return reason

    def _save(self) -> None:
        """Saves a snapshot, in which an interrupted episode does not count."""
        budget = self._budget
        self._snapshots.save(
            checkpointing.Snapshot(
                counts=self.counts(),
                replay_steps=self._replay_steps,
                learner_steps_paid=self._builder.learner_steps_due(self._replay_steps),
                learner_credit=self._credit,
                tables=self._tables,
            ),
            self._learner.num_steps,
            self._client if budget.checkpoint_replay else None,
            self._learner.save_checkpoint,
        )
        self._counter.persist()
        self._next_snapshot = time.monotonic() + 60.0 * budget.checkpoint_minutes

    def counts(self) -> dict[str, float]:
        """Returns the run's counts, 0 of what has not ended once."""
        zero = {"actor_steps": 0, "learner_steps": 0}
        return {**zero, **self._counter.get_counts()}

    def _spent(self, actor_steps: int) -> str | None:
        budget = self._budget
        if self._signalled.is_set():
            return "signal"
        if budget.max_actor_steps is not None and actor_steps >= budget.max_actor_steps:
            return "max_actor_steps"
        if self._out_of_time():
            return "run_seconds"
        return None

    def _out_of_time(self) -> bool:
        seconds = self._budget.run_seconds
        return seconds is not None and time.monotonic() - self._begin >= seconds

    def _stopped(self) -> bool:
        return self._signalled.is_set() or self._out_of_time()

    def _after_step(self) -> None:
        """Does the learner steps that are due after one step of acting."""
        self._episode_steps += 1
        steps = self._replay_steps + self._episode_steps
        due = self._credit + self._builder.learner_steps_due(steps)
        while self._learner.num_steps < due and not self._stopped():
            self._learner.step()
        now = time.monotonic()
        if now >= self._next_report:
            self._next_report = now + self._budget.log_seconds
            self._report_progress()
        loop_hooks.raise_if(self._stopped)

    def _report_progress(self) -> None:
        with self._guard:
            self._report(self._progress.line())

    def _evaluate(self, actor_steps: int) -> None:
        if not self._budget.eval_episodes:
            return
        begin = time.monotonic()
        result = experiments_evaluation.evaluate_in_run(
            self._experiment,
            self._environment,
            self._evaluator,
            actor_steps,
            self._signalled.is_set,
        )
        if result is None:
            raise Stopped("during an evaluation")
        self._begin += time.monotonic() - begin  # run_seconds excludes evaluations
        self._evaluation_logger.write({**self.counts(), **result.scalars()})


def _counter(
    workdir: str,
    learner_steps: int | None,
    snapshot: checkpointing.Snapshot | None,
) -> loop_hooks.PersistentCounter:
    """Makes the run's counter, from the snapshot where there is one.

    Raises:
      ValueError: in one line, if counts are not readable, or there are counts but no
        checkpoint.
    """
    if snapshot is not None:
        counter = loop_hooks.PersistentCounter(workdir, read=False)
        counter.reset(snapshot.counts)
        return counter
    counter = loop_hooks.PersistentCounter(workdir)
    counted = int(counter.get_counts().get("actor_steps", 0))
    if learner_steps is None and counted:
        raise ValueError(
            f"{workdir} has counted {counted} actor steps, and its checkpoint is gone; "
            "nothing was changed: take another workdir, or --restart, to begin anew"
        )
    return counter


@contextlib.contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """Yields an event set by SIGINT or SIGTERM; a second SIGINT interrupts as usual."""
    event = threading.Event()

    def handle(number: int) -> None:
        event.set()
        signal.signal(number, previous[number])

    with signals.handled(handle) as previous:
        yield event
