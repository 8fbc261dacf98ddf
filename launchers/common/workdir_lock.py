"""Lock of a work directory: one process writes into it at a time."""

from __future__ import annotations

import itertools
import pathlib

from filesystem import locks

# Directories that this process holds until it ends, by device and inode.
_held: set[tuple[int, int]] = set()


def hold(directory: pathlib.Path) -> None:
    """Holds the directory until this process ends, however it ends.

    A second call of the same process does nothing.

    Args:
      directory: made where it is missing.

    Raises:
      ValueError: in one line, if another process holds it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    status = directory.stat()
    key = status.st_dev, status.st_ino
    if key in _held:
        return
    try:
        handle = locks.take(directory)
    except BlockingIOError as e:
        raise ValueError(
            f"another process is running in {directory}: wait for it, stop it, or take "
            "another workdir"
        ) from e
    if handle is not None:
        _held.add(key)


def set_aside(directory: pathlib.Path, record: str) -> pathlib.Path | None:
    """Renames a directory that holds a run, so that another can begin in its place.

    Args:
      directory: work directory, such as runs/agent.
      record: name of the file that every run has.

    Returns:
      The new path, such as runs/agent.before_1; None where the directory has no record,
      and then nothing is changed.

    Raises:
      ValueError: in one line, if another process holds the directory.
    """
    if not (directory / record).exists():
        return None
    hold(directory)
    paths = (
        directory.with_name(f"{directory.name}.before_{number}")
        for number in itertools.count(1)
    )
    free = next(path for path in paths if not path.exists())
    directory.rename(free)
    return free
