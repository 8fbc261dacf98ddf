"""Runs `launchers.train_agent` as a process, and finds its nodes' processes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence


def start(
    log: pathlib.Path, core: int | None = None, **settings: object
) -> subprocess.Popen:
    """Starts `launchers.train_agent`.

    Args:
      log: file to which its output is appended.
      core: the only core that it may use; None allows all. TensorFlow starts as many
        threads as there are cores.
      **settings: its flags; None leaves one out.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    pinned: Sequence[str] = () if core is None else ("taskset", "-c", str(core))
    given = [f"--{k}={v}" for k, v in settings.items() if v is not None]
    with log.open("a") as output:
        return subprocess.Popen(
            [*pinned, sys.executable, "-m", "launchers.train_agent", *given],
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def pid_of_node(launcher: int | str, node: str) -> int | None:
    """Finds the process of a node that --launch=local_mp started; None if it is gone.

    It is the child whose output goes to the node's file.

    Args:
      launcher: pid of the launcher, or "self".
      node: name of the node, as `actor/0`.
    """
    for task in pathlib.Path(f"/proc/{launcher}/task").iterdir():
        for pid in (task / "children").read_text().split():
            with contextlib.suppress(OSError):  # a child that has just ended
                if os.readlink(f"/proc/{pid}/fd/1").endswith(f"logs/output/{node}"):
                    return int(pid)
    return None
