"""Processes side by side, each on a core of its own, which end with the caller."""

from __future__ import annotations

import collections
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from typing import TypeVar

_POLL_SECONDS = 2.0
_Name = TypeVar("_Name")


def command(module: str, settings: Mapping[str, object]) -> list[str]:
    """Returns the command of a module with flags by name; None leaves a flag out."""
    given = [f"--{k}={v}" for k, v in settings.items() if v is not None]
    return [sys.executable, "-m", module, *given]


def start(
    command: Sequence[str], log: pathlib.Path, core: int | None = None
) -> subprocess.Popen:
    """Starts a process.

    Args:
      command: program and arguments.
      log: file to which its output is appended.
      core: the only core that it may use; None allows all. TensorFlow starts as many
        threads as there are cores.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    pinned: Sequence[str] = () if core is None else ("taskset", "-c", str(core))
    with log.open("a") as output:
        return subprocess.Popen(
            [*pinned, *command], stdout=output, stderr=subprocess.STDOUT
        )


def run(
    starts: Mapping[_Name, Callable[[int], subprocess.Popen]],
    jobs: int | None,
    report: Callable[[Collection[_Name]], None],
) -> Generator[tuple[_Name, int], None, None]:
    """Yields (name, exit code) of processes as they end.

    Close the generator (`contextlib.closing`): those that still run then get SIGTERM,
    so that they save what they have, and are waited for.

    Args:
      starts: starters of the processes, by name; each takes the number of a core.
      jobs: most processes at a time; None takes one per core.
      report: called every two seconds with the names of the running ones.
    """
    waiting = collections.deque(starts)
    cores = sorted(os.sched_getaffinity(0))
    free = collections.deque(cores[i % len(cores)] for i in range(jobs or len(cores)))
    running: dict[_Name, tuple[subprocess.Popen, int]] = {}
    try:
        while waiting or running:
            while waiting and free:
                name, core = waiting.popleft(), free.popleft()
                running[name] = starts[name](core), core
            time.sleep(_POLL_SECONDS)
            for name, (process, core) in list(running.items()):
                code = process.poll()
                if code is not None:
                    del running[name]
                    free.append(core)
                    yield name, code
            report(running.keys())
    finally:
        for process, _ in running.values():
            process.send_signal(signal.SIGTERM)
        for process, _ in running.values():
            process.wait()
