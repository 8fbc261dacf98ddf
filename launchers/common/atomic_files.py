"""Atomic writes: files and directories are made aside, then renamed."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

# Defined in datasets, which needs them too and imports nothing of launchers.
from datasets.rlds.files import (
    aside,
    is_temporary,
    new_directory,
    read_json,
    remove_temporaries,
    temporary,
    write_json,
)

__all__ = (
    "aside",
    "is_temporary",
    "new_directory",
    "read_json",
    "remove_temporaries",
    "temporary",
    "write_csv",
    "write_json",
    "write_text",
)


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
