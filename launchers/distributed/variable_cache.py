"""Cache of a learner's variables, which answers many actors in the learner's place.

Launchpad's releases have no cacher. Hundreds of actors that fetch from the learner
itself hold its interpreter lock while they are answered. With a cacher the learner
answers one caller every `update_seconds`, and actors call the cacher as they would call
the learner. A cacher may poll another cacher.

The design follows from Courier's behaviour:

- Its server (`courier/platform/default/server.cc`) ignores `thread_pool_size`: every
  call in progress has a thread, so calls that wait for the first variables block no
  others.
- It serialises every reply from Python objects anew, under the interpreter lock. Arrays
  are copied twice, bytes once. So variables are pickled once, when they arrive, and a
  reply is those bytes, which the caller's Courier unpickles: actors get arrays. A reply
  of 24 arrays, 3.7 MB, takes 3.3 ms of the server's CPU this way, and 5.6 ms as arrays
  (medians, measured in turns on a busy machine).
- A client that waits for its server, the default, reconnects by gRPC's back-off, after
  up to two minutes, and never gives up on a lost machine. The cacher's own client fails
  at once and is replaced.
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

NAMES = ("policy",)  # variables that actors fetch

_FETCH_SECONDS = 30.0  # limit of one fetch
_BACKOFF_SECONDS = (0.5, 5.0)  # wait after the first failure, and longest wait
_SLICE_SECONDS = 0.5  # between checks for a stop by a caller that waits


class PrePickled:
    """Pickled object, which arrives at a Courier client as the object itself.

    Courier sends the function and arguments of `__reduce_ex__`; the client calls it.
    """

    def __init__(self, content: Any):
        """Pickles `content`."""
        self._bytes = pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)

    def __reduce_ex__(
        self, protocol: SupportsIndex
    ) -> tuple[Callable[[bytes], Any], Any]:
        return pickle.loads, (self._bytes,)

    def unpack(self) -> Any:
        """Returns a copy of the packed object."""
        return pickle.loads(self._bytes)


class Snapshot(NamedTuple):
    """Variables of one fetch; never changed, so that a reader sees a single fetch."""

    variables: dict[str, PrePickled]  # name -> variable
    fetched_at: float  # time.monotonic


class VariableCache:
    """Cache, in memory, of the variables of the last fetch."""

    def __init__(
        self,
        source: core.VariableSource | courier.Client,
        names: Sequence[str] = NAMES,
        update_seconds: float = 1.0,
        stopped: Callable[[], bool] = lambda: False,
    ):
        """Prepares; `poll` fetches.

        Args:
          source: the learner, or another cacher.
          names: names of the variables to keep.
          update_seconds: time from the end of a fetch to the next.
          stopped: tells whether the program is stopping, which ends a caller's wait.

        Raises:
          ValueError: `names` is empty, or `update_seconds` is not positive.
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
        """Returns the variables as `reply` does, for a caller in this process."""
        return [packed.unpack() for packed in self.reply(names)]

    def reply(self, names: Sequence[str]) -> list[PrePickled]:
        """Returns the learner's variables, all of one fetch, for Courier to send.

        Waits for the first fetch: a cacher has no variables of its own.

        Raises:
          ValueError: a name is not kept.
          Stopped: the program is stopping.
        """
        unknown = sorted(set(names) - set(self._names))
        if unknown:
            raise ValueError(f"no variables {unknown}; there are {self._names}")
        while not self._arrived.wait(_SLICE_SECONDS):
            if self._stopped():
                raise Stopped("variables were being waited for")
        snapshot = self._snapshot  # read once, so that all are of the same fetch
        assert snapshot is not None, "it has arrived"
        return [snapshot.variables[name] for name in names]

    def statistics(self) -> dict[str, float]:
        """Counts the fetches, and tells how old the variables are.

        Returns:
          The numbers of `fetches` and of `failures` so far; once there are variables,
          their `age_seconds`.
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
        """Fetches until `stop` is set, even if the source fails meanwhile."""
        source, failures = None, 0
        pause = 0.0
        while not stop.wait(pause):
            try:
                # A new client: after a failure, gRPC's back-off goes on in the old.
                source = source or self._connect()
                self._fetch(source)
                pause, failures = self._update_seconds, 0
            except Exception as e:  # Courier passes on any exception of the source.
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
    """Returns a maker of sources that fail soon; keeps what is no Courier client."""
    if not isinstance(source, courier.Client):
        return lambda: source
    address = source.address
    return lambda: courier.Client(
        address, call_timeout=_FETCH_SECONDS, wait_for_ready=False
    )
