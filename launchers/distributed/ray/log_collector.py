"""Collects the logs of other hosts, from one process on each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import ray

from launchers.distributed.ray import cluster, log_sync

_EVERY_SECONDS = 2.0
_LAST_SECONDS = 10.0  # to read what a node wrote before its end


class LogCollector:
    """Collector of the logs of hosts that do not see the launcher's work directory."""

    def __init__(self, workdir: str, report: Callable[[str], None]):
        """Raises ValueError if an earlier launcher's positions are unreadable."""
        self._sync = log_sync.LogSync(workdir)
        self._report = report
        self._calls: dict[str, Any] = {}  # host -> call without an answer yet
        self._asked: dict[str, float] = {}  # host -> time of its last call

    def begin(self, ip: str, positions: log_sync.Positions) -> None:
        """Skips the logs that were on a host before its first node."""
        self._sync.begin(ip, positions)

    def step(self, processes: Mapping[str, Any]) -> None:
        """Adds the answers that have arrived, and asks again where that is due.

        Args:
          processes: IP of each host -> Ray handle of a `NodeProcess` there.
        """
        now = time.monotonic()
        ready: list[Any] = []
        if self._calls:
            calls = list(self._calls.values())
            ready, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
        for ip, call in list(self._calls.items()):
            if call in ready:
                del self._calls[ip]
                self._take(ip, call, timeout=None)
        for ip, process in processes.items():
            due = now - self._asked.get(ip, 0.0) >= _EVERY_SECONDS
            if ip not in self._calls and due:
                self._asked[ip] = now
                self._calls[ip] = process.read_logs.remote(self._sync.positions(ip))

    def finish(self, ip: str, process: Any) -> None:
        """Adds all logs that a host has now, before `process` ends."""
        # An answer under way would be added twice.
        self._calls.pop(ip, None)
        while self._take(
            ip, process.read_logs.remote(self._sync.positions(ip)), _LAST_SECONDS
        ):
            pass

    def _take(self, ip: str, call: Any, timeout: float | None) -> bool:
        """Adds a call's answer; returns whether it held anything new."""
        try:
            changes = ray.get(call, timeout=timeout)
        except ray.exceptions.RayError as e:
            if timeout is not None:
                self._report(f"not all logs of {ip} are here: {cluster.reason(e)}")
            return False  # the next process on the host is asked for the same logs
        self._sync.apply(ip, changes)
        return bool(changes)
