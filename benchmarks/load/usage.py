"""Usage of processes: CPU, memory, connections."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import psutil

_SPARE_DESCRIPTORS = 512  # for files that are no connections
_MB = 1e6


class Sample(NamedTuple):
    """Memory and CPU time of a node's process at one moment."""

    seconds: float  # since the first sample
    node: str
    rss_mb: float  # resident memory, 1e6 bytes
    cpu_seconds: float  # since the process started, all threads


class Usage(NamedTuple):
    """Usage of one process over its samples."""

    cpu: float  # cores
    rss_mb: float  # at the end
    rss_growth_mb: float  # after warm-up


def cpu_seconds(pid: int) -> float:
    """Reads the CPU seconds used by a process, user and system, all threads."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def rss_mb(pid: int) -> float:
    """Reads the resident memory of a process, in 1e6 bytes."""
    return psutil.Process(pid).memory_info().rss / _MB


def connections(port: int) -> int:
    """Counts the established TCP connections of the server on a local port."""
    return sum(
        c.status == psutil.CONN_ESTABLISHED and c.laddr.port == port
        for c in psutil.net_connections("tcp")
    )


def allow_connections(connections: int) -> None:
    """Raises this process's limit of open files, which children inherit, if need be.

    Raises:
      ValueError: the hard limit is too low.
    """
    needed = connections + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ValueError(
            f"{connections} connections need {needed} open files a process, and the "
            f"hard limit (ulimit -Hn) is {hard}"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class Watch:
    """Sampler of processes' usage, in a thread; a context manager."""

    def __init__(self, pids: Mapping[str, int], period: float = 1.0):
        """Prepares the sampler.

        Args:
          pids: pids of processes by the name of their node.
          period: seconds between samples.
        """
        self._pids = dict(pids)
        self._period = period
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.samples: list[Sample] = []

    def __enter__(self) -> Watch:
        self._begin = time.monotonic()
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._stop.wait(self._period):
            self._look()

    def _look(self) -> None:
        for node, pid in self._pids.items():
            try:
                used = rss_mb(pid), cpu_seconds(pid)
            except psutil.NoSuchProcess:
                continue  # The process has ended.
            self.samples.append(Sample(time.monotonic() - self._begin, node, *used))


def summarise(samples: Sequence[Sample], warm_up: float = 1 / 3) -> dict[str, Usage]:
    """Summarises the usage of each node.

    Args:
      samples: two or more samples of each node.
      warm_up: share of the time before memory is expected to be constant.
    """
    usage = {}
    for node in dict.fromkeys(sample.node for sample in samples):
        mine = [sample for sample in samples if sample.node == node]
        first, last = mine[0], mine[-1]
        start = first.seconds + warm_up * (last.seconds - first.seconds)
        warm = next(s for s in mine if s.seconds >= start)
        elapsed = last.seconds - first.seconds
        usage[node] = Usage(
            cpu=(last.cpu_seconds - first.cpu_seconds) / elapsed,
            rss_mb=last.rss_mb,
            rss_growth_mb=last.rss_mb - warm.rss_mb,
        )
    return usage
