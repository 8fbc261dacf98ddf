"""A pool of processes for jobs such as episodes; each has one thread and no GPU.

A job is a top-level function of a module and a picklable argument. The function caches
what is costly to make (an environment, a compiled policy), so an episode's results do
not depend on the number of processes.
"""

from __future__ import annotations

import concurrent.futures
import logging
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import process
from types import TracebackType
from typing import TypeVar

import tqdm

from datasets.collection import worker_pool

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


class WorkerError(RuntimeError):
    """Raised when a process ends before its work is done."""


class Workers:
    """Pool of processes, a context manager; leaving it ends the processes."""

    def __init__(self, processes: int, show_progress: bool = True) -> None:
        """Prepares the processes, which start with the first job."""
        self._show_progress = show_progress
        self._executor = concurrent.futures.ProcessPoolExecutor(
            processes, multiprocessing.get_context("spawn"), _prepare
        )

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._executor.shutdown(cancel_futures=True)

    def run(
        self,
        function: Callable[[_Job], _Result],
        jobs: Iterable[_Job],
        title: str,
        unit: str = "episode",
    ) -> Iterator[_Result]:
        """Yields `function(job)` for every job as jobs end, in any order.

        Args:
          function: a top-level function of a module.
          jobs: arguments of the function; picklable.
          title: title of the progress bar, used in errors too.
          unit: name of one job, for the progress bar.

        Raises:
          WorkerError: a process was killed.
        """
        with worker_pool.child_surroundings():
            futures = [self._executor.submit(function, job) for job in jobs]
        try:
            with tqdm.tqdm(
                total=len(futures),
                desc=title,
                unit=unit,
                disable=not self._show_progress,
            ) as bar:
                for future in concurrent.futures.as_completed(futures):
                    result = future.result()
                    bar.update()
                    yield result
        except process.BrokenProcessPool as e:
            raise WorkerError(
                f"a process of {title} was killed (is there enough memory?)"
            ) from e
        finally:
            for future in futures:
                future.cancel()


def _prepare() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process handles it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    worker_pool.end_with_parent()
