"""Damage to a file, and odd values of flags."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np


def _empty(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.write_bytes(b"")


def _cut(path: pathlib.Path, draws: np.random.Generator) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draws.integers(len(content) + 1)])


def _flip(path: pathlib.Path, draws: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    if content:
        content[draws.integers(len(content))] ^= 1 << draws.integers(8)
    path.write_bytes(content)


def _junk(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.write_bytes(draws.bytes(200))


def _append(path: pathlib.Path, draws: np.random.Generator) -> None:
    with path.open("ab") as file:
        file.write(draws.bytes(20))


def _zeros(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _remove(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.unlink()


def _json(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.write_text(str(draws.choice(["{}", "[]", "null", "3", '{"a": NaN}', '"x"'])))


def _field(path: pathlib.Path, draws: np.random.Generator) -> None:
    """Spoils one value of a JSON object, else one byte."""
    try:
        content = json.loads(path.read_text())
    except ValueError:
        return _flip(path, draws)
    if not isinstance(content, dict) or not content:
        return _json(path, draws)
    where = content
    while True:
        key = str(draws.choice(sorted(where)))
        below = where[key]
        if not (isinstance(below, dict) and below and draws.integers(3)):
            break
        where = below
    odd: list[Any] = [
        None,
        -1,
        0,
        1e300,
        "",
        "../x",
        [],
        {},
        [None],
        True,
        float("nan"),
    ]
    choice = int(draws.integers(len(odd) + 1))
    if choice == len(odd):
        del where[key]
    else:
        where[key] = odd[choice]
    path.write_text(json.dumps(content))


def _directory(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.unlink()
    os.mkfifo(path)


def _loop(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.unlink()
    path.symlink_to(path.name)


DAMAGES: tuple[Callable[[pathlib.Path, np.random.Generator], None], ...] = (
    _empty,
    _cut,
    _cut,
    _flip,
    _flip,
    _junk,
    _append,
    _zeros,
    _remove,
    _json,
    _field,
    _field,
    _field,
    _directory,
    _pipe,
    _loop,
)
ODD_VALUES = (
    *("", " ", "-1", "0", "1", "nan", "inf", "-inf", "1e400", "1e-320", "0.5", "2.5"),
    *("9" * 20, "-" + "9" * 20, "x" * 300, "x", "None", "true", "[]", "[a,b]", "{}"),
    *("a,b", ",", "1,,2", "0,0", "1,2,3,4", "s0,g5,b6", "~", "~nobody/x", "/"),
    *("/dev/null", "/dev/full", "/proc/self", "..", ".", "a/../b", "é", "\n", "\0x"),
    *(
        "*",
        "$HOME",
        "file://x",
        "gs://x",
        "http://localhost",
        "--",
        "-",
        "%s",
        "random",
    ),
)
