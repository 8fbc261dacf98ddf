"""Atomic writes, aside and then renamed, and reads of regular files only."""

from __future__ import annotations

import contextlib
import csv
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

# Defined in datasets, which needs them too and imports nothing of launchers.
from datasets.rlds.files import (
    aside,
    is_temporary,
    open_file,
    read_json,
    read_text,
    remove_temporaries,
    temporary,
    write_json,
)

__all__ = (
    "aside",
    "is_temporary",
    "new_directory",
    "open_file",
    "read_json",
    "read_text",
    "remove_temporaries",
    "temporary",
    "write_csv",
    "write_json",
    "write_text",
)


@contextlib.contextmanager
def new_directory(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a directory to fill, renamed to `path`, or removed if the block raises.

    If another process makes `path` meanwhile, that one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    filled = pathlib.Path(tempfile.mkdtemp(prefix=".tmp.", dir=path.parent))
    try:
        yield filled
        try:
            filled.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(filled, ignore_errors=True)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file atomically."""
    with aside(path) as unfinished:
        unfinished.write_text(text)


def write_csv(
    path: pathlib.Path, names: Sequence[str], rows: Iterable[Iterable[Any]]
) -> None:
    """Writes rows under a header of these names, atomically."""
    with aside(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)
