"""Brings what nodes write under WORKDIR/logs on other hosts to the launcher's.

A host holds no state: the launcher says how far it has got, and gets what came after.
Rows of a CSV file are counted, because a new column rewrites the file; other files only
grow, so their bytes are. The counts are kept beside the logs, so a launcher that is
started again goes on. Hosts that see the launcher's own work directory are left alone.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import BinaryIO

from launchers.common import atomic_files, loggers

_STATE = ".mirror.json"
_LOGS = "logs"
_LIMIT_BYTES = 4 * 2**20  # of an answer, about


@dataclasses.dataclass(frozen=True)
class Position:
    """How far a file of a host has been brought over."""

    inode: int = 0
    offset: int = 0  # bytes
    rows: int = 0  # CSV only


@dataclasses.dataclass(frozen=True)
class Change:
    """What came after a position; `rows` of a CSV file, `data` of another."""

    to: Position
    rows: tuple[dict[str, str], ...] = ()
    data: bytes = b""


Positions = Mapping[str, Position]  # by path under logs


def read(workdir: str, since: Positions) -> dict[str, Change]:
    """What is new under a work directory of this host; not all of it if it is much."""
    root = pathlib.Path(workdir) / _LOGS
    changes: dict[str, Change] = {}
    size = 0
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(n for n in names if not n.startswith(".")):
            path = pathlib.Path(folder) / name
            key = str(path.relative_to(root))
            position = since.get(key, Position())
            try:
                change = _read(path, position)
            except FileNotFoundError:  # renamed in between
                continue
            if change.to != position:
                changes[key] = change
                size += change.to.offset - position.offset
            if size >= _LIMIT_BYTES:
                return changes
    return changes


def ends(workdir: str) -> dict[str, Position]:
    """Where the files are now, which an earlier run may have left on this host."""
    positions: dict[str, Position] = {}
    while changes := read(workdir, positions):
        positions |= {key: change.to for key, change in changes.items()}
    return positions


def _read(path: pathlib.Path, position: Position) -> Change:
    with path.open("rb") as f:
        status = os.fstat(f.fileno())
        same = status.st_ino == position.inode and status.st_size >= position.offset
        if same and status.st_size == position.offset:
            return Change(position)
        if path.suffix == ".csv":
            return _read_rows(f, status.st_ino, position, same)
        start = position.offset if same else 0
        f.seek(start)
        data = f.read(_LIMIT_BYTES)
        return Change(Position(status.st_ino, start + len(data)), data=data)


def _read_rows(f: BinaryIO, inode: int, position: Position, same: bool) -> Change:
    header = f.readline()
    if same and position.offset:
        f.seek(position.offset)
    start, skipped = f.tell(), 0 if same else position.rows
    body = f.read()
    body = body[: body.rfind(b"\n") + 1]  # whole lines
    if not header.endswith(b"\n"):
        return Change(position)
    lines = (header + body).decode().splitlines()
    rows = tuple(csv.DictReader(lines))[skipped:]
    return Change(
        Position(inode, start + len(body), position.rows + len(rows)), rows=rows
    )


class LogSync:
    """The launcher's side."""

    def __init__(self, workdir: str):
        """Raises ValueError if what an earlier launcher left is not readable."""
        self._root = pathlib.Path(workdir) / _LOGS
        self._positions: dict[str, dict[str, Position]] = {}
        if (self._root / _STATE).exists():
            self._positions = {
                ip: {key: Position(*values) for key, values in positions.items()}
                for ip, positions in atomic_files.read_json(self._root / _STATE).items()
            }

    def begin(self, ip: str, positions: Positions) -> None:
        """Leaves out what was on a host before it was first seen."""
        self._positions.setdefault(ip, dict(positions))

    def positions(self, ip: str) -> Positions:
        """How far the host's files have been brought over."""
        return dict(self._positions.get(ip, {}))

    def apply(self, ip: str, changes: Mapping[str, Change]) -> None:
        """Adds a host's changes to the files here."""
        for key, change in changes.items():
            path = self._root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            if change.rows:
                # Made anew: a node that came to this host may have widened the file.
                logger = loggers.CsvLogger(path)
                for row in change.rows:
                    logger.write({k: v for k, v in row.items() if v})
            if change.data:
                with path.open("ab") as f:
                    f.write(change.data)
            self._positions.setdefault(ip, {})[key] = change.to
        if changes:
            self._save()

    def _save(self) -> None:
        atomic_files.write_json(
            self._root / _STATE,
            {
                ip: {key: dataclasses.astuple(p) for key, p in positions.items()}
                for ip, positions in self._positions.items()
            },
        )
