"""Runs `launchers.train_agent` as a process, and finds its nodes' processes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess

from launchers.common import side_by_side


def start(
    log: pathlib.Path, core: int | None = None, **settings: object
) -> subprocess.Popen:
    """Starts `launchers.train_agent`.

    Args:
      log, core: see `side_by_side.start`.
      **settings: its flags; None leaves one out.
    """
    command = side_by_side.command("launchers.train_agent", settings)
    return side_by_side.start(command, log, core)


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
