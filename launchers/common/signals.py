"""Signals that stop a command, and the file in which the reason of a stop is kept."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

STOPPED = ".stopped_by"  # file in the work directory: why the program ended
INTERRUPTED = 130  # exit code after Ctrl-C, as of shells


def end_during_imports() -> None:
    """Makes Ctrl-C end a command with one line while it imports its libraries.

    As an exception it would print a traceback of a library, or be taken by it for a
    fault of its own. `interrupt_command` ends this.
    """
    # A shell's background job ignores Ctrl-C, and goes on ignoring it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: object) -> None:
    del number, frame
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


def interrupt_command() -> None:
    """Makes Ctrl-C and SIGTERM, also of a scheduler, raise KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


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
    reason = path.read_text() if path.is_file() else "signal"
    path.unlink(missing_ok=True)
    return reason
