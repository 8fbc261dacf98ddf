"""Asks a running launcher for another number of actors, by a file in its directory."""

from __future__ import annotations

import pathlib
import time

from launchers.common import atomic_files
from launchers.distributed.ray.node_process import TOKEN

_REQUEST = ".num_actors.json"
_POLL_SECONDS = 0.2


def ask(workdir: str, num_actors: int, timeout: float = 30.0) -> None:
    """Asks, and waits until the launcher has taken it.

    Args:
      workdir: of a run on Ray.
      num_actors: that it shall have.
      timeout: seconds to wait.

    Raises:
      ValueError: in one line, no such run, no actor, or nobody took it.
    """
    if num_actors < 1:
        raise ValueError(f"num_actors must be at least 1, got {num_actors}")
    root = pathlib.Path(workdir)
    if not (root / TOKEN).is_file():
        raise ValueError(f"no launcher with --launch=ray is running in {workdir}")
    atomic_files.write_json(root / _REQUEST, {"num_actors": num_actors})
    until = time.monotonic() + timeout
    while (root / _REQUEST).exists():
        if time.monotonic() > until:
            clear(workdir)
            raise ValueError(
                f"the launcher in {workdir} did not answer within {timeout:g} s"
            )
        time.sleep(_POLL_SECONDS)


def take(workdir: str) -> int | None:
    """The number asked for since the last call, if any.

    Raises:
      ValueError: in one line, what the file holds is no such number.
    """
    path = pathlib.Path(workdir) / _REQUEST
    if not path.exists():
        return None
    try:
        asked = atomic_files.read_json(path).get("num_actors")
    finally:
        clear(workdir)
    if not isinstance(asked, int) or asked < 1:
        raise ValueError(f"{path} asks for {asked!r} actors")
    return asked


def clear(workdir: str) -> None:
    """Forgets what was asked."""
    (pathlib.Path(workdir) / _REQUEST).unlink(missing_ok=True)
