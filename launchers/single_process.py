"""Runs an experiment in one process: one environment, then the learner's share.

The parts are the builder's, as in a distributed program; replay is a real Reverb
server. The learner steps when enough has been inserted (`learner_steps_due`), so
nothing waits for anything and the table needs no limiter. The actor's policy *is* the
learner's.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

import reverb
from acme import EnvironmentLoop
from acme.utils import counting

from agents.mpo.adder import Stopped
from launchers import acting, evaluation, run_logs
from launchers.experiment import Experiment, derive_seed

_PERSIST_SECONDS = 60.0


def run(experiment: Experiment, report: Callable[[str], None] = print) -> str:
    """Runs until the budget is spent, or SIGINT or SIGTERM; saves a checkpoint at last.

    Args:
      experiment: to run, or to go on with.
      report: receives a line of progress now and then.

    Returns:
      What ended it: max_actor_steps, run_seconds or signal.

    Raises:
      FloatingPointError: something was not finite; the last good checkpoint is kept.
    """
    with _stop_signal() as signalled:
        return _Run(experiment, report, signalled).run()


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
        self._counter = acting.PersistentCounter(workdir)
        done = int(self._counter.get_counts().get("actor_steps", 0))

        self._builder = builder = experiment.builder_factory()
        tables = builder.make_replay_tables(spec, limit_rate=False)
        self._server = reverb.Server(tables, port=None)
        client = reverb.Client(f"localhost:{self._server.port}")
        networks = builder.make_networks(spec, experiment.seed)
        self._learner = builder.make_learner(
            networks,
            builder.make_dataset_iterator(client),
            directory=workdir,
            counter=counting.Counter(self._counter, "learner", time_delta=0.0),
            logger=run_logs.make_logger(
                workdir, "learner", "learner_steps", time_delta=1.0
            ),
        )
        self._first_step = self._learner.num_steps
        self._steps = 0  # of acting since this start
        self._adder = builder.make_adder(client, self._signalled.is_set)
        actor = builder.make_actor(
            builder.make_policy(networks),
            derive_seed(experiment.seed, "actor", done),
            self._adder,
        )
        self._environment = experiment.environment_factory(
            derive_seed(experiment.seed, "environment", done)
        )
        self._logger = run_logs.make_logger(workdir, "actor_0", "actor_steps")
        self._loop = EnvironmentLoop(
            self._environment,
            acting.Hooked(actor, self._after_step),
            counter=counting.Counter(self._counter, "actor", time_delta=0.0),
            logger=self._logger,
            observers=[acting.SuccessObserver()],
        )
        self._evaluator = builder.make_actor(
            builder.make_policy(networks, evaluation=True),
            derive_seed(experiment.seed, "evaluator", done),
        )
        self._evaluation_logger = run_logs.make_logger(
            workdir, "evaluator", "actor_steps"
        )
        self._progress = run_logs.Progress(workdir)
        self._next_report = self._begin + self._budget.log_seconds
        self._next_persist = self._begin + _PERSIST_SECONDS

    def run(self) -> str:
        """Episodes and evaluations until the budget is spent."""
        every = self._budget.eval_every
        actor_steps = int(self._counter.get_counts().get("actor_steps", 0))
        next_evaluation = 0 if actor_steps == 0 else actor_steps + every
        try:
            while (reason := self._spent(actor_steps)) is None:
                if actor_steps >= next_evaluation:
                    self._evaluate(actor_steps)
                    next_evaluation += every
                result = self._loop.run_episode()
                self._logger.write(result)
                actor_steps = int(result["actor_steps"])
        except Stopped:
            reason = self._spent(0) or "signal"
        finally:
            # Whatever happened, the variables are those of a whole and finite step.
            self._learner.save_checkpoint()
            self._counter.persist()
        self._report(self._progress.line())
        self._environment.close()
        # Or its writer waits 10 s, when it is deleted, for a server that is gone.
        with contextlib.suppress(Stopped):
            self._adder.reset()
        self._server.stop()
        return reason

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
        """The learner's share of one step of acting."""
        self._steps += 1
        due = self._first_step + self._builder.learner_steps_due(self._steps)
        while self._learner.num_steps < due and not self._stopped():
            self._learner.step()
        self._tick()
        acting.raise_if(self._stopped)

    def _tick(self) -> None:
        now = time.monotonic()
        if now >= self._next_report:
            self._next_report = now + self._budget.log_seconds
            self._report(self._progress.line())
        if now >= self._next_persist:
            self._next_persist = now + _PERSIST_SECONDS
            self._counter.persist()

    def _evaluate(self, actor_steps: int) -> None:
        if not self._budget.eval_episodes:
            return
        begin = time.monotonic()
        result = evaluation.run_episodes(
            self._environment,
            self._evaluator,
            self._budget.eval_episodes,
            self._experiment.seed,
            self._signalled.is_set,
        )
        self._begin += time.monotonic() - begin  # run_seconds is for learning
        if result is None:
            raise Stopped("during an evaluation")
        counts = {"actor_steps": 0, "learner_steps": 0, **self._counter.get_counts()}
        self._evaluation_logger.write({**counts, **result.scalars()})


@contextlib.contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second SIGINT interrupts as usual."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # signals reach the main thread only
        return

    def handle(number: int, frame: object) -> None:
        del frame
        event.set()
        signal.signal(number, previous[number])

    previous = {
        number: signal.signal(number, handle)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield event
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
