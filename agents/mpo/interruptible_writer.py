"""Reverb client for Acme's adders, whose waits the program can interrupt.

Acme's adders wait without limit and without a message where the table's rate limiter
holds inserts back. This client waits in slices: it warns once when the wait is long,
and raises `Stopped` when the program stops.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import reverb
from absl import logging

from agents.builder import Stopped

_SLICE_MS = 500
_WARN_AFTER_SECONDS = 30.0


Waiting = Callable[[str], contextlib.AbstractContextManager[Any]]


class InterruptibleClient:
    """Reverb client with the methods that Acme's adders call.

    Acme 0.4.0 asks for the writer with `get_signature_timeout_ms`, which Reverb has
    only after 0.7.2; without it the writer waits for the server without limit.
    """

    def __init__(
        self,
        client: reverb.Client,
        stopped: Callable[[], bool],
        waiting: Waiting = contextlib.nullcontext,
    ):
        """Takes `waiting`: it makes, from a text, the context of an insert's wait."""
        self._client = client
        self._stopped = stopped
        self._waiting = waiting

    def trajectory_writer(
        self, num_keep_alive_refs: int, get_signature_timeout_ms: int | None = None
    ) -> InterruptibleWriter:
        """Makes a writer whose waits end when the program stops."""
        del get_signature_timeout_ms
        writer = self._client.trajectory_writer(num_keep_alive_refs)
        address = self._client.server_address
        return InterruptibleWriter(writer, self._stopped, self._waiting, address)


class InterruptibleWriter:
    """Wrapper of a `reverb.TrajectoryWriter` that changes only the waits."""

    def __init__(
        self,
        writer: reverb.TrajectoryWriter,
        stopped: Callable[[], bool],
        waiting: Waiting,
        address: str,
    ):
        """Takes the server's `address` for messages."""
        self._writer = writer
        self._stopped = stopped
        self._waiting = waiting
        self._address = address

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def flush(
        self, block_until_num_items: int = 0, timeout_ms: int | None = None
    ) -> None:
        """Waits until at most `block_until_num_items` items are on their way."""
        self._wait(
            lambda ms: self._writer.flush(block_until_num_items, timeout_ms=ms),
            timeout_ms,
        )

    def end_episode(
        self, clear_buffers: bool = True, timeout_ms: int | None = None
    ) -> None:
        """Waits until all items have arrived, then forgets the episode."""
        self._wait(
            lambda ms: self._writer.end_episode(clear_buffers, timeout_ms=ms),
            timeout_ms,
        )

    def _wait(self, attempt: Callable[[int], None], timeout_ms: int | None) -> None:
        try:
            return attempt(_SLICE_MS if timeout_ms is None else timeout_ms)
        except reverb.DeadlineExceededError:
            if timeout_ms is not None:
                raise
        with self._waiting(f"an insert into replay at {self._address}"):
            self._wait_on(attempt)

    def _wait_on(self, attempt: Callable[[int], None]) -> None:
        begin = time.monotonic()
        warned = False
        while not self._stopped():
            try:
                return attempt(_SLICE_MS)
            except reverb.DeadlineExceededError:
                pass
            seconds = time.monotonic() - begin
            if seconds > _WARN_AFTER_SECONDS and not warned:
                warned = True
                logging.warning(
                    "inserts have waited %.0f s: replay is away, or the learner is "
                    "slower than samples_per_insert asks of it",
                    seconds,
                )
        raise Stopped("an insert into replay was waiting")
