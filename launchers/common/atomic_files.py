"""Files that are whole or not there: written aside, then renamed."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any


@contextlib.contextmanager
def aside(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A name to write to; becomes `path` unless the block raises, then it is removed.

    The name is hidden, in the directory of `path`, and ends like it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file."""
    with aside(path) as temporary:
        temporary.write_text(text)


def write_json(path: pathlib.Path, content: Mapping[str, Any] | list[Any]) -> None:
    """Writes JSON; raises ValueError for numbers that are not finite."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_csv(
    path: pathlib.Path, names: Sequence[str], rows: Iterable[Iterable[Any]]
) -> None:
    """Writes rows under a header of these names."""
    with aside(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Reads an object; raises ValueError in one line if the file holds no object."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as e:
        raise ValueError(f"{path} is not readable: {e}") from e
    if not isinstance(content, dict):
        raise ValueError(f"{path} does not hold an object")
    return content
