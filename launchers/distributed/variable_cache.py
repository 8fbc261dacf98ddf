"""A cache of a learner's variables, which answers many actors in its place.

Launchpad's releases have no cacher. Hundreds of actors that fetch from the learner
itself take its interpreter lock while they are answered; here the learner answers one
caller every `update_seconds`, and actors ask the cacher as they would ask the learner.
A cacher may poll another cacher.

What Courier does sets the design:

- Its server (`courier/platform/default/server.cc`) ignores `thread_pool_size`: every
  call in progress has a thread, so those that wait for the first variables keep nobody
  out.
- It writes every reply from Python objects anew, holding the interpreter lock. Arrays
  are copied twice, bytes once. So variables are pickled once, when they arrive, and a
  reply is those bytes, which the caller's Courier unpickles: actors get arrays. A reply
  of 24 arrays, 3.7 MB, takes 3.3 ms of the server's CPU so, and 5.6 ms as arrays
  (medians in turn, on a busy machine).
- A client that waits for its server, the default, reconnects when gRPC wants to, after
  up to two minutes, and never gives up on a machine that is lost. The cacher's own
  client fails at once and is made anew.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, SupportsIndex

import courier
from absl import logging
from acme import core

from agents.builder import Stopped
from launchers.common import backoff

NAMES = ("policy",)  # what actors fetch

_FETCH_SECONDS = 30.0  # limit of one fetch
_BACKOFF_SECONDS = (0.5, 5.0)  # after the first failure, and at most
_SLICE_SECONDS = 0.5  # between looks at the stop of a caller that waits


class PrePickled:
    """What arrives at a Courier client as the object that was packed.

    Courier sends an object as what its `__reduce_ex__` says, and calls that over there.
    """

    def __init__(self, content: Any):
        """Pickles `content`."""
        self._bytes = pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)

    def __reduce_ex__(
        self, protocol: SupportsIndex
    ) -> tuple[Callable[[bytes], Any], Any]:
        return pickle.loads, (self._bytes,)

    def unpack(self) -> Any:
        """A copy of what was packed."""
        return pickle.loads(self._bytes)


class Snapshot(NamedTuple):
    """What one fetch brought. Never changed, so whoever holds it sees one fetch."""

    variables: dict[str, PrePickled]  # by name
    fetched_at: float  # time.monotonic


class VariableCache:
    """Variables of the last fetch, in memory."""

    def __init__(
        self,
        source: core.VariableSource | courier.Client,
        names: Sequence[str] = NAMES,
        update_seconds: float = 1.0,
        stopped: Callable[[], bool] = lambda: False,
    ):
        """Fetches nothing yet; `poll` does.

        Args:
          source: the learner, or another cacher.
          names: of the variables that are kept.
          update_seconds: from the end of a fetch to the next.
          stopped: whether the program is stopping, which ends a caller's wait.

        Raises:
          ValueError: no name, or a period that is not positive.
        """
        if not names:
            raise ValueError("a cacher needs names of variables, got none")
        if not update_seconds > 0:
            raise ValueError(f"update_seconds must be positive, got {update_seconds}")
        self._connect = _connector(source)
        self._names = list(names)
        self._update_seconds = update_seconds
        self._stopped = stopped
        self._snapshot: Snapshot | None = None
        self._arrived = threading.Event()
        self._fetches = 0
        self._failures = 0

    def get_variables(self, names: Sequence[str]) -> list[Any]:
        """See `reply`, for a caller in this process."""
        return [packed.unpack() for packed in self.reply(names)]

    def reply(self, names: Sequence[str]) -> list[PrePickled]:
        """The variables of one fetch, as the learner gave them, for Courier to send.

        Waits for the first fetch: a cacher has no variables of its own.

        Raises:
          ValueError: a name that is not kept.
          Stopped: the program is stopping.
        """
        unknown = sorted(set(names) - set(self._names))
        if unknown:
            raise ValueError(f"no variables {unknown}; there are {self._names}")
        while not self._arrived.wait(_SLICE_SECONDS):
            if self._stopped():
                raise Stopped("variables were being waited for")
        snapshot = self._snapshot  # one read: all of the same fetch
        assert snapshot is not None, "it has arrived"
        return [snapshot.variables[name] for name in names]

    def statistics(self) -> dict[str, float]:
        """What happened so far.

        Returns:
          `fetches` and `failures` of them so far; once there are variables, their
          `age_seconds`.
        """
        statistics: dict[str, float] = {
            "fetches": self._fetches,
            "failures": self._failures,
        }
        snapshot = self._snapshot
        if snapshot is not None:
            statistics["age_seconds"] = time.monotonic() - snapshot.fetched_at
        return statistics

    def poll(self, stop: threading.Event) -> None:
        """Fetches until `stop`, whatever the source does meanwhile."""
        source, failures = None, 0
        pause = 0.0
        while not stop.wait(pause):
            try:
                # A new client a failure: gRPC's own back-off would go on in the old.
                source = source or self._connect()
                self._fetch(source)
                pause, failures = self._update_seconds, 0
            except Exception as e:  # Courier passes on any that the source raises.
                if stop.is_set():
                    return
                if not failures:
                    logging.warning("no variables: %s; the last ones are served", e)
                source = None
                self._failures += 1
                failures += 1
                pause = backoff.seconds(failures, *_BACKOFF_SECONDS)

    def _fetch(self, source: core.VariableSource) -> None:
        packed = [
            PrePickled(variables) for variables in source.get_variables(self._names)
        ]
        self._snapshot = Snapshot(
            dict(zip(self._names, packed, strict=True)), time.monotonic()
        )
        self._fetches += 1
        self._arrived.set()


def _connector(source: Any) -> Callable[[], core.VariableSource]:
    """Makes sources that fail soon; one that is no Courier client stays as it is."""
    if not isinstance(source, courier.Client):
        return lambda: source
    address = source.address
    return lambda: courier.Client(
        address, call_timeout=_FETCH_SECONDS, wait_for_ready=False
    )
