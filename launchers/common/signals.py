"""Signals that stop a launcher, and the file in which the reason of a stop is kept."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

STOPPED = ".stopped_by"  # file in the work directory: why the program ended


@contextlib.contextmanager
def handled(handle: Callable[[int], None]) -> Iterator[Mapping[int, Any]]:
    """Calls `handle` with every SIGINT and SIGTERM while the block runs.

    Signals reach the main thread only; in any other thread nothing is handled.

    Yields:
      The previous handlers, by signal.
    """
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for caught in (signal.SIGINT, signal.SIGTERM):
            previous[caught] = signal.signal(
                caught, lambda number, frame: handle(number)
            )
    try:
        yield previous
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def forget_reason(workdir: str) -> None:
    """Removes the reason left by an earlier program."""
    (pathlib.Path(workdir) / STOPPED).unlink(missing_ok=True)


def take_reason(workdir: str) -> str:
    """Reads why the program ended: max_actor_steps, run_seconds, or else signal."""
    path = pathlib.Path(workdir) / STOPPED
    reason = path.read_text() if path.exists() else "signal"
    path.unlink(missing_ok=True)
    return reason
