"""Checkpoints of learners on disk: finds the newest, names what cannot be read."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator

import tensorflow as tf

_STATE = "checkpoint"  # the file of TensorFlow's that names the newest
_open: dict[pathlib.Path, int] = {}  # directories of `plain`, until the process ends


def plain(directory: str | pathlib.Path) -> str:
    """Returns a path of the directory that TensorFlow does not take for a pattern.

    Where its name has brackets, TensorFlow finds nothing there. Linux has each open
    directory under a plain name.

    Args:
      directory: made where it is missing.
    """
    directory = pathlib.Path(directory)
    if not set(str(directory.absolute())) & set("[]{}*?\\"):
        return str(directory)
    key = directory.resolve()
    if key not in _open:
        key.mkdir(parents=True, exist_ok=True)
        _open[key] = os.open(key, os.O_RDONLY)
    return f"/proc/self/fd/{_open[key]}"


def newest(directory: pathlib.Path) -> str | None:
    """Finds the newest checkpoint that a `tf.train.CheckpointManager` wrote.

    `tf.train.latest_checkpoint` says nothing of files that are missing.

    Args:
      directory: of the checkpoints.

    Returns:
      Its path without suffix, for TensorFlow (`plain`); None where the directory holds
      no checkpoint.

    Raises:
      ValueError: in one line, if there are checkpoints but not the newest.
    """
    written = _written(directory)
    if not written and not (directory / _STATE).exists():
        return None
    for file in directory.iterdir():  # TensorFlow would wait for ever on a pipe
        if file.exists() and not (file.is_file() or file.is_dir()):
            raise ValueError(f"{file} is no file; nothing was changed")
    try:
        state = tf.train.get_checkpoint_state(str(directory))
    except Exception:  # TensorFlow has several kinds for a file that is damaged
        state = None
    if state is None:
        names = ", ".join(path.name for path in written) or "no checkpoint"
        raise ValueError(
            f"{directory / _STATE}, which names the newest of the checkpoints there "
            f"({names}), is missing or damaged; nothing was changed"
        )
    path = pathlib.Path(state.model_checkpoint_path)
    if not path.is_relative_to(directory):  # the directory has moved since
        path = directory / path.name
    for suffix in (".index", ".data-"):  # the data may be in several files
        if not any(f.name.startswith(path.name + suffix) for f in directory.iterdir()):
            raise ValueError(
                f"{path}{suffix}* of the newest checkpoint is missing{_hint(path)}; "
                "nothing was changed"
            )
    return str(pathlib.Path(plain(directory), path.name))


@contextlib.contextmanager
def reading(path: str | None) -> Iterator[None]:
    """Turns what is raised while a checkpoint is read into a ValueError of one line."""
    try:
        yield
    except Exception as e:  # TensorFlow has at least five kinds
        if path is None:
            raise
        first = (str(e).strip().splitlines() or [type(e).__name__])[0]
        raise ValueError(
            f"checkpoint {path} cannot be read ({first[:200]})"
            f"{_hint(pathlib.Path(path))}; nothing was changed"
        ) from e


def _written(directory: pathlib.Path) -> list[pathlib.Path]:
    """The checkpoints of a directory, without suffix, the oldest first."""
    found = [path.with_suffix("") for path in directory.glob("ckpt-*.index")]
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _hint(path: pathlib.Path) -> str:
    older = [other.name for other in _written(path.parent) if other != path]
    if not older:
        return ""
    return (
        f"; {older[-1]} beside it may be whole: name it in {path.parent / _STATE} to "
        "resume from it"
    )
