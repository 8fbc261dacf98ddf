"""Names of a data set's own files, and how files get there whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

MANIFEST = "manifest.json"
DATASET_INFO = "dataset_info.json"
METADATA = "metadata.json"
LOGS = "logs"
_TEMPORARY = ".tmp"


def temporary(path: pathlib.Path) -> pathlib.Path:
    """Returns this process's temporary name for a file, in the same directory."""
    return path.with_name(f".{path.name}.{os.getpid()}{_TEMPORARY}")


def commit(aside: pathlib.Path, path: pathlib.Path) -> None:
    """Flushes a finished file to disk and renames it to `path`."""
    _sync(aside)
    os.replace(aside, path)
    _sync(path.parent)


def remove_temporaries(directory: pathlib.Path) -> None:
    """Removes what interrupted runs left unfinished."""
    for path in directory.glob(f".*{_TEMPORARY}"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file aside and renames it."""
    aside = temporary(path)
    aside.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    commit(aside, path)


def check_dataset(path: pathlib.Path) -> None:
    """Raises ValueError unless the directory holds a finished data set."""
    if not path.is_dir():
        raise ValueError(f"data set {path} does not exist")
    if (path / DATASET_INFO).exists():
        return
    if (path / MANIFEST).exists():
        raise ValueError(
            f"data set {path} is not finished: the command that began it continues it"
        )
    # TFDS keeps data sets as NAME/VERSION or NAME/CONFIG/VERSION.
    below = sorted(path.glob(f"*/{DATASET_INFO}")) + sorted(
        path.glob(f"*/*/{DATASET_INFO}")
    )
    hint = f"; {below[0].parent} is one" if below else ""
    raise ValueError(f"{path} is not a data set: it has no {DATASET_INFO}{hint}")


def read_manifest(directory: pathlib.Path) -> dict[str, Any]:
    """Returns `manifest.json`.

    Raises:
      FileNotFoundError: where there is none.
      ValueError: where it cannot be read.
    """
    path = directory / MANIFEST
    try:
        content = json.loads(path.read_text())
    except json.JSONDecodeError as e:
        raise ValueError(f"{path} is not JSON: {e}") from e
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a JSON object")
    return content


@contextlib.contextmanager
def locked(directory: pathlib.Path) -> Iterator[None]:
    """Holds the directory against a second collecting process; freed by any death.

    Raises:
      ValueError: where another process holds it.
    """
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise ValueError(f"another process is collecting into {directory}") from e
        yield
    finally:
        os.close(handle)


def _sync(path: pathlib.Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
