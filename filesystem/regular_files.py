"""Reads of regular files only: who opens a named pipe would wait for ever."""

from __future__ import annotations

import errno
import os
import pathlib
import stat
from typing import BinaryIO


def open_file(path: pathlib.Path) -> BinaryIO:
    """Opens a file for reading.

    Raises:
      OSError: it cannot be opened, or is no regular file but, for one, a named pipe.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return open(handle, "rb")


def read_text(path: pathlib.Path, errors: str = "strict") -> str:
    """Reads a text file; raises OSError as `open_file` does."""
    with open_file(path) as file:
        return file.read().decode(errors=errors)
