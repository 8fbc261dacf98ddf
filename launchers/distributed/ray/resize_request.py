"""Requests to a running launcher, by a file, for another number of actors."""

from __future__ import annotations

import pathlib
import time

from launchers.common import atomic_files
from launchers.distributed.ray.node_process import TOKEN

_REQUEST = ".num_actors.json"
_POLL_SECONDS = 0.2


def ask(workdir: str, num_actors: int, timeout: float = 30.0) -> None:
    """Writes a request, and waits until the launcher has taken it.

    Args:
      workdir: work directory of a run on Ray.
      num_actors: number of actors to request.
      timeout: seconds to wait.

    Raises:
      ValueError: in one line: there is no such run, `num_actors` is less than 1, or no
        launcher took the request.
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
    """Takes the number requested since the last call; None if there is no request.

    Raises:
      ValueError: in one line, that the file holds no valid number.
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
    """Removes the request."""
    (pathlib.Path(workdir) / _REQUEST).unlink(missing_ok=True)
