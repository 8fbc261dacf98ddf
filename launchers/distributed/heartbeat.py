"""Reports what each node waits on to the coordinator, so that no stall is silent."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import courier

BEAT_SECONDS = 2.0
LATE_SECONDS = 15.0  # a node that was not heard of for so long is reported
LONG_SECONDS = 30.0  # a wait that is reported


class Heartbeat:
    """Sends the coordinator what the threads of one node wait on."""

    def __init__(self, name: str, coordinator: Any, stop: threading.Event):
        """Starts to beat, if there is a coordinator (a Courier client)."""
        self._name = name
        self._stop = stop
        self._waits: dict[int, tuple[str, float]] = {}  # by thread: on what, since
        if coordinator is not None:
            client = courier.Client(
                coordinator.address, call_timeout=10.0, wait_for_ready=False
            )
            threading.Thread(target=self._beat, args=(client,), daemon=True).start()

    @contextlib.contextmanager
    def waiting(self, on: str) -> Iterator[None]:
        """While the block runs, this thread waits on that."""
        key = threading.get_ident()
        outer = self._waits.get(key)
        self._waits[key] = on, time.monotonic()
        try:
            yield
        finally:
            if outer is None:
                del self._waits[key]
            else:
                self._waits[key] = outer

    def state(self) -> dict[str, Any]:
        """Host, process, and (on what, seconds) of all that wait."""
        now = time.monotonic()
        waits = [(on, round(now - since, 1)) for on, since in [*self._waits.values()]]
        return {"host": socket.gethostname(), "pid": os.getpid(), "waits": waits}

    def _beat(self, client: courier.Client) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            # The coordinator may be away; the next beat tells it as much.
            with contextlib.suppress(Exception):
                client.beat(self._name, self.state())


class Register:
    """Keeps the last heartbeat of each node, for the coordinator."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nodes: dict[str, tuple[float, dict[str, Any]]] = {}

    def beat(self, name: str, state: dict[str, Any]) -> None:
        """Records a node's heartbeat; nodes call it."""
        with self._lock:
            self._nodes[name] = time.monotonic(), state

    def nodes(self) -> dict[str, dict[str, Any]]:
        """State of each node by name, with the `age` of what was heard, seconds."""
        now = time.monotonic()
        with self._lock:
            return {
                name: {**state, "age": round(now - heard, 1)}
                for name, (heard, state) in sorted(self._nodes.items())
            }


def complaints(nodes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each node that is silent, or waits for long."""
    lines = []
    for name, state in nodes.items():
        if state["age"] > LATE_SECONDS:
            lines.append(f"{name} was last heard of {state['age']:.0f} s ago")
            continue
        lines += [
            f"{name} has waited {seconds:.0f} s on {on}"
            for on, seconds in state["waits"]
            if seconds > LONG_SECONDS
        ]
    return lines
