"""Locks of directories by flock, which the kernel frees when their process ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
from collections.abc import Iterator


def take(directory: pathlib.Path) -> int | None:
    """Takes the lock of a directory without waiting.

    Returns:
      The descriptor that holds the lock until it is closed, and that started programs
      do not inherit; None where the file system has no locks.

    Raises:
      BlockingIOError: another process holds the lock.
      OSError: the directory cannot be opened.
    """
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        os.close(handle)
        if isinstance(e, BlockingIOError):
            raise
        return None
    return handle


@contextlib.contextmanager
def held(directory: pathlib.Path, required: bool = True) -> Iterator[None]:
    """Holds the lock of a directory while the block runs.

    Args:
      directory: the directory.
      required: whether to raise where the file system has no locks; else the block
        runs without one.

    Raises:
      BlockingIOError: another process holds the lock.
      OSError: the directory cannot be opened, or the file system has no locks.
    """
    handle = take(directory)
    if handle is None and required:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), str(directory))
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)
