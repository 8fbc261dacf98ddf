"""Heartbeats: nodes report what they wait on to the coordinator."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import courier

BEAT_SECONDS = 2.0
LATE_SECONDS = 15.0  # a node silent for this long is reported
LONG_SECONDS = 30.0  # a wait of this length is reported


class Heartbeat:
    """Sender of one node's heartbeats, which tell what its threads wait on."""

    def __init__(self, name: str, coordinator: Any, stop: threading.Event):
        """Starts the heartbeats, if `coordinator`, a Courier client, is not None."""
        self._name = name
        self._stop = stop
        # Thread -> (what it waits on, since when).
        self._waits: dict[int, tuple[str, float]] = {}
        if coordinator is not None:
            client = courier.Client(
                coordinator.address, call_timeout=10.0, wait_for_ready=False
            )
            threading.Thread(target=self._beat, args=(client,), daemon=True).start()

    @contextlib.contextmanager
    def waiting(self, on: str) -> Iterator[None]:
        """Records that this thread waits on `on` while the block runs."""
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
        """Returns host, process, and (what on, seconds) of each thread that waits."""
        now = time.monotonic()
        waits = [(on, round(now - since, 1)) for on, since in [*self._waits.values()]]
        return {"host": socket.gethostname(), "pid": os.getpid(), "waits": waits}

    def _beat(self, client: courier.Client) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            # An unreachable coordinator learns the same from the next heartbeat.
            with contextlib.suppress(Exception):
                client.beat(self._name, self.state())


class Register:
    """The coordinator's record of each node's last heartbeat."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nodes: dict[str, tuple[float, dict[str, Any]]] = {}

    def beat(self, name: str, state: dict[str, Any]) -> None:
        """Records the heartbeat that a node sends.

        Raises:
          ValueError: `Heartbeat.state` returns no such state; nothing is recorded.
        """
        checked = _checked(name, state)
        with self._lock:
            self._nodes[name] = time.monotonic(), checked

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Returns the state of each node by name, with the heartbeat's `age` [s]."""
        now = time.monotonic()
        with self._lock:
            return {
                name: {**state, "age": round(now - heard, 1)}
                for name, (heard, state) in sorted(self._nodes.items())
            }


def _checked(name: Any, state: Any) -> dict[str, Any]:
    """Returns a heartbeat's known parts, of which a status can be written."""
    try:
        waits = [(on, float(seconds)) for on, seconds in state["waits"]]
        checked = {"host": state["host"], "pid": state["pid"], "waits": waits}
    except (TypeError, KeyError, ValueError, OverflowError) as e:
        raise ValueError(f"not a heartbeat, of {name!r}: {state!r}") from e
    texts = [name, checked["host"], *(on for on, _ in waits)]
    if not (
        all(isinstance(text, str) for text in texts)
        and isinstance(checked["pid"], int)
        and all(math.isfinite(seconds) for _, seconds in waits)
    ):
        raise ValueError(f"not a heartbeat, of {name!r}: {state!r}")
    return checked


def complaints(nodes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns a line for each node that is silent or waits for long."""
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
