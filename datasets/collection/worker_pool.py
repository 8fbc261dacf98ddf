"""Pool of processes that run episodes, each with its own environment and expert.

The main process sends episode numbers and receives whole episodes through one pipe per
worker, so a worker that is killed destroys no lock and no other worker's message.
Workers need neither TensorFlow nor the disk: only the main process serialises and
writes. A worker that loses the main process stops at its next control step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import multiprocessing
import os
import pathlib
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection as mp_connection
from multiprocessing import resource_tracker
from types import TracebackType
from typing import Any

from datasets.collection import rollout
from datasets.rlds import errors, schema

# One thread per worker: more would take the cores of other workers.
_WORKER_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
_JOIN_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Work:
    """Settings of a worker; picklable.

    Attributes:
      settings: settings of the data set.
      make_environment: builds the environment.
      make_expert: builds the expert of an environment.
    """

    settings: schema.Settings
    make_environment: Callable[[], Any]
    make_expert: Callable[[Any], Any]


@dataclasses.dataclass
class _Worker:
    number: int
    process: multiprocessing.process.BaseProcess
    pipe: mp_connection.Connection
    log: pathlib.Path
    done: bool = False  # was told that no episodes are left


class Pool:
    """Pool of worker processes, a context manager; leaving it ends the processes."""

    def __init__(self, work: Work, processes: int, logs: pathlib.Path) -> None:
        """Prepares the pool; `logs` is a directory for the workers' output."""
        self._work = work
        self._processes = processes
        self._logs = logs
        self._workers: list[_Worker] = []
        self._leaving: list[_Worker] = []

    def __enter__(self) -> Pool:
        self._logs.mkdir(exist_ok=True)
        # Starts first, because its start would unblock the signal that `_start` blocks.
        resource_tracker.ensure_running()
        try:
            for number in range(self._processes):
                log = self._logs / f"worker_{number}.log"
                self._workers.append(_start(number, self._work, log))
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._stop()

    def run(
        self, indices: Iterable[int], on_episode: Callable[[dict[str, Any]], bool]
    ) -> list[str]:
        """Runs episodes, started in the order of `indices`; they end in any order.

        If a worker dies, no new episode is started, and the others finish theirs.

        Args:
          indices: indices of the episodes; may be endless.
          on_episode: receives each example of `rollout.run_episode`; returns whether
            there are enough, in which case `__exit__` ends those still running.

        Returns:
          A line for each worker that died.
        """
        pending = iter(indices)
        failures: list[str] = []
        while self._workers:
            for pipe in mp_connection.wait([w.pipe for w in self._workers]):
                worker = next(w for w in self._workers if w.pipe is pipe)
                failure = None
                try:
                    kind, content = worker.pipe.recv()
                    if kind == "error":
                        failure = (
                            f"worker {worker.number} failed: {content} "
                            f"(traceback: {worker.log})"
                        )
                    else:
                        # A worker that just died is noticed at the next `recv`.
                        index = next(pending, None)
                        worker.done = index is None
                        with contextlib.suppress(OSError):
                            worker.pipe.send(index)
                except (EOFError, OSError, pickle.UnpicklingError):
                    kind = "gone"
                if kind == "episode" and on_episode(content):
                    return failures
                if kind == "gone" and worker.done:
                    # It has sent all its episodes, so the way in which it ends does not
                    # matter.
                    self._workers.remove(worker)
                    self._leaving.append(worker)
                elif kind in ("error", "gone"):
                    self._workers.remove(worker)
                    _end(worker)
                    if failure is None:
                        failure = _describe(worker)
                if failure is not None:
                    failures.append(failure)
                    pending = iter(())
        return failures

    def _stop(self) -> None:
        running = self._workers + self._leaving
        for worker in running:
            worker.process.terminate()
        for worker in running:
            _end(worker)
        self._workers.clear()
        self._leaving.clear()


def _end(worker: _Worker) -> None:
    worker.process.join(_JOIN_SECONDS)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.pipe.close()


def _describe(worker: _Worker) -> str:
    code = worker.process.exitcode
    how = f"exited with code {code}"
    if code is not None and code < 0:
        how = f"was killed by signal {-code} ({signal.Signals(-code).name})"
    return f"worker {worker.number} {how} (log: {worker.log})"


@contextlib.contextmanager
def child_surroundings() -> Iterator[None]:
    """Sets what children inherit: variables, and blocked SIGINT, which main handles."""
    before = {name: os.environ.get(name) for name in _WORKER_ENVIRONMENT}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.update(_WORKER_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def end_with_parent() -> None:
    """Ends this process, a child of `multiprocessing`, as soon as its parent ends.

    Otherwise a child that waits or computes would outlive a parent that is killed.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None, "this process is no child"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _start(number: int, work: Work, log: pathlib.Path) -> _Worker:
    # Spawned: a forked child would copy the locks of the main process's TensorFlow.
    context = multiprocessing.get_context("spawn")
    log.touch()
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_main, args=(theirs, work, log), name=f"collect-{number}", daemon=True
    )
    with child_surroundings():
        process.start()
    theirs.close()
    return _Worker(number, process, ours, log)


def _main(pipe: mp_connection.Connection, work: Work, log: pathlib.Path) -> None:
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    faulthandler.enable()
    try:
        _serve(pipe, work)
    except (BrokenPipeError, EOFError):  # The main process is gone.
        raise SystemExit(1) from None
    except Exception as e:
        traceback.print_exc()
        with contextlib.suppress(OSError):
            pipe.send(("error", errors.named(e)))
        raise SystemExit(1) from None
    finally:
        pipe.close()  # The main process need not wait for Python to exit.


def _serve(pipe: mp_connection.Connection, work: Work) -> None:
    environment = work.make_environment()
    expert = work.make_expert(environment)
    parent = multiprocessing.parent_process()

    def check_parent() -> None:
        # Once the main process is gone, another process adopts this one.
        if parent is not None and os.getppid() != parent.pid:
            raise EOFError("the collecting process is gone")

    pipe.send(("ready", None))
    while (index := pipe.recv()) is not None:
        example = rollout.run_episode(
            environment, expert, work.settings, index, check_parent
        )
        pipe.send(("episode", example))
    environment.close()
