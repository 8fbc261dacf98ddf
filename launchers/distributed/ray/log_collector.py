"""Asks the hosts for their logs, one process on each, and adds them to ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import ray

from launchers.distributed.ray import cluster, log_sync

_EVERY_SECONDS = 2.0
_LAST_SECONDS = 10.0  # for what a node wrote before its end


class LogCollector:
    """The logs of the hosts that do not see the launcher's work directory."""

    def __init__(self, workdir: str, report: Callable[[str], None]):
        """Raises ValueError if what an earlier launcher left is not readable."""
        self._sync = log_sync.LogSync(workdir)
        self._report = report
        self._calls: dict[str, Any] = {}  # by host: what was asked and not answered
        self._asked: dict[str, float] = {}  # by host: when

    def begin(self, ip: str, positions: log_sync.Positions) -> None:
        """Leaves out what was on a host before its first node."""
        self._sync.begin(ip, positions)

    def step(self, processes: Mapping[str, Any]) -> None:
        """Takes the answers that are here, and asks again where it is time to.

        Args:
          processes: one Ray handle of a `NodeProcess` for each host's IP.
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
        """Takes all that a host has now, before `process` ends."""
        # An answer on its way would be added twice.
        self._calls.pop(ip, None)
        while self._take(
            ip, process.read_logs.remote(self._sync.positions(ip)), _LAST_SECONDS
        ):
            pass

    def _take(self, ip: str, call: Any, timeout: float | None) -> bool:
        """Whether there was something new."""
        try:
            changes = ray.get(call, timeout=timeout)
        except ray.exceptions.RayError as e:
            if timeout is not None:
                self._report(f"not all logs of {ip} are here: {cluster.reason(e)}")
            return False  # the next process on the host is asked for the same
        self._sync.apply(ip, changes)
        return bool(changes)
