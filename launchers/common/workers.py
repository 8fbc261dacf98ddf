"""Processes that do jobs, as running an episode: each has one thread and no GPU.

A job is a function at the top of a module and a picklable argument; what is costly to
make (an environment, a compiled policy) the function keeps in a cache of its own. The
results of an episode thus do not depend on how many processes there are.
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
    """A process ended in the midst of its work."""


class Workers:
    """The processes, from their start to their end: a context manager."""

    def __init__(self, processes: int, show_progress: bool = True) -> None:
        """Prepares them; they start with the first job."""
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
        """Yields `function(job)` of every job as they end, in any order.

        Args:
          function: at the top of a module.
          jobs: arguments of it, which can be pickled.
          title: of the progress bar and of errors.
          unit: what a job is, for the progress bar.

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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # main handles it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    worker_pool.end_with_parent()
