"""Variable cacher node of the distributed program, between learner and actors.

`variable_cache` explains its purpose and design.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import courier

from launchers.distributed.heartbeat import Heartbeat
from launchers.distributed.node_entry import enter_node
from launchers.distributed.variable_cache import NAMES, VariableCache


class CacherNode:
    """Node that fetches the learner's variables and serves them to actors."""

    def __init__(
        self,
        source: Any,
        coordinator: Any = None,
        names: Sequence[str] = NAMES,
        update_seconds: float = 1.0,
        name: str = "cacher",
    ):
        """Makes a `VariableCache`; sends heartbeats of `name` to the coordinator."""
        self._stop = enter_node()
        Heartbeat(name, coordinator, self._stop)
        self._cache = VariableCache(source, names, update_seconds, self._stop.is_set)

    def get_variables(self, names: Sequence[str]) -> list[Any]:
        """Returns the learner's variables of the last fetch."""
        return self._cache.reply(names)

    def statistics(self) -> dict[str, float]:
        """Returns `VariableCache.statistics`."""
        return self._cache.statistics()

    def run(self) -> None:
        """Fetches until the program stops."""
        self._cache.poll(self._stop)


class CacherServer:
    """Server of a cache that polls, without a Launchpad program; a context manager."""

    def __init__(self, cache: VariableCache, port: int | None = None):
        """Prepares the server; None for `port` takes a free one."""
        self._cache = cache
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=cache.poll, args=(self._stop,), daemon=True
        )
        self._server = courier.Server(port=port)
        self._server.Bind("get_variables", cache.reply)
        self._server.Bind("statistics", cache.statistics)

    @property
    def port(self) -> int:
        """The port on which the server listens."""
        return self._server.port

    def __enter__(self) -> CacherServer:
        self._thread.start()
        self._server.Start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.Stop()
        self._thread.join()
