"""Names of a data set's own files, and atomic writes of files."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import reprlib
import shutil
import struct
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from filesystem import locks, regular_files

MANIFEST = "manifest.json"
DATASET_INFO = "dataset_info.json"
FEATURES = "features.json"
METADATA = "metadata.json"
LOGS = "logs"
_KINDS: dict[str, Any] = {
    **dict.fromkeys(("settings", "collection"), dict),
    **dict.fromkeys(("code_versions", "episode_indices"), list),
    **dict.fromkeys(("episodes", "tried", "successes", "control_steps"), int),
}
_TIMES: dict[str, Any] = {"seconds": (int, float), "control_steps": int}
_WORDS: dict[Any, str] = {dict: "an object", list: "a list", int: "a whole number"}
_TEMPORARY = ".tmp"
_TEMPORARY_NAME = re.compile(r"\.tmp\.\d+\..+")  # of `temporary`
_FRAME = 16  # bytes around each record of a TFRecord file


def temporary(path: pathlib.Path) -> pathlib.Path:
    """Returns this process's temporary name for a file.

    The name is hidden, in the directory of `path`, and has its suffix.
    """
    return path.with_name(f"{_TEMPORARY}.{os.getpid()}.{path.name}")


def is_temporary(path: pathlib.Path) -> bool:
    """Returns whether a path has the name of an unfinished file of any process."""
    return _TEMPORARY_NAME.fullmatch(path.name) is not None


def commit(finished: pathlib.Path, path: pathlib.Path) -> None:
    """Flushes a finished file to disk and renames it to `path`."""
    _sync(finished)
    os.replace(finished, path)
    _sync(path.parent)


@contextlib.contextmanager
def aside(path: pathlib.Path, durable: bool = False) -> Iterator[pathlib.Path]:
    """Yields a name to write to, renamed to `path`, or removed if the block raises.

    Args:
      path: path of the file; its directory is made where it is missing.
      durable: whether to flush to disk, so that the file survives a machine's failure.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = temporary(path)
    try:
        yield name
        if durable:
            commit(name, path)
        else:
            os.replace(name, path)
    finally:
        name.unlink(missing_ok=True)


@contextlib.contextmanager
def new_directory(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a directory to fill, renamed to `path`, or removed if the block raises.

    If another process makes `path` meanwhile, that one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    filled = pathlib.Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}.", dir=path.parent))
    filled.chmod(0o755)  # a data set may be read by others
    try:
        yield filled
        try:
            filled.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(filled, ignore_errors=True)


def remove_temporaries(directory: pathlib.Path, below: bool = False) -> None:
    """Removes unfinished files of interrupted runs.

    Args:
      directory: directory that this process alone writes into.
      below: whether to remove those in its subdirectories too.
    """
    pattern = f"{_TEMPORARY}.*"
    for path in list(directory.rglob(pattern) if below else directory.glob(pattern)):
        if not is_temporary(path):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def write_json(
    path: pathlib.Path, content: Mapping[str, Any] | list[Any], durable: bool = False
) -> None:
    """Writes JSON atomically; raises ValueError for numbers that are not finite."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    with aside(path, durable) as temporary_path:
        temporary_path.write_text(text)


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Reads a JSON object; raises ValueError, in one line, if the file holds none."""
    try:
        content = json.loads(regular_files.read_text(path))
    except (OSError, ValueError, RecursionError) as e:
        raise ValueError(f"{path} is not readable: {e}") from e
    if not isinstance(content, dict):
        raise ValueError(f"{path} does not hold an object")
    return content


def refusal(directory: pathlib.Path, name: str, text: str) -> ValueError:
    """Returns the error that refuses a data set for one of its files."""
    return ValueError(f"data set {directory}: {name} {text}")


def record_checksums(path: pathlib.Path) -> tuple[list[tuple[int, int]], int]:
    """Reads the frames of a TFRecord file's records, without the records.

    A record of n bytes has n and a checksum of it before it, 12 bytes, and its own
    checksum after it, 4 bytes. https://www.tensorflow.org/tutorials/load_data/tfrecord

    Returns:
      Length and checksum of each record, and the number of bytes after the last that is
      whole.
    """
    found = []
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        begin = file.seek(0)
        while size - begin >= _FRAME:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > size - begin - _FRAME:
                break
            file.seek(begin + _FRAME - 4 + length)
            (checksum,) = struct.unpack("<I", file.read(4))
            found.append((length, checksum))
            begin = file.seek(begin + _FRAME + length)
    return found, size - begin


def check_dataset(path: pathlib.Path) -> None:
    """Raises ValueError unless the directory holds a finished data set."""
    if not path.is_dir():
        raise ValueError(f"data set {path} does not exist")
    for entry in path.iterdir():
        if entry.exists() and not (entry.is_file() or entry.is_dir()):
            raise ValueError(f"data set {path} holds {entry.name}, which is no file")
    if (path / DATASET_INFO).exists():
        return
    if (path / MANIFEST).exists():
        raise ValueError(
            f"data set {path} is not finished, as {DATASET_INFO} is missing: the "
            "command that began it continues it"
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
      FileNotFoundError: there is none.
      ValueError: it cannot be read.
    """
    path = directory / MANIFEST
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    manifest = read_json(path)
    past = manifest.get("collection", {})
    sections = [(manifest, _KINDS), (past if isinstance(past, dict) else {}, _TIMES)]
    for section, kinds in sections:
        for name, kind in kinds.items():
            if name in section and not isinstance(section[name], kind):
                value = reprlib.repr(section[name])
                words = _WORDS.get(kind, "a number")
                raise ValueError(f"{path}: {name} is {value}; valid: {words}")
    if not all(isinstance(i, int) for i in manifest.get("episode_indices", ())):
        raise ValueError(f"{path}: episode_indices are no whole numbers")
    return manifest


@contextlib.contextmanager
def locked(directory: pathlib.Path) -> Iterator[None]:
    """Locks the directory against other collecting processes while the block runs.

    Raises:
      ValueError: another process holds the lock.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locks.held(directory))
        except BlockingIOError as e:
            raise ValueError(f"another process is collecting into {directory}") from e
        yield


def _sync(path: pathlib.Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
