"""Copies what nodes write under WORKDIR/logs on other hosts to the launcher's.

A host holds no state: the launcher sends its positions and gets what came after. The
position in a CSV file is a count of rows, because a new column rewrites the file; in
other files, which only grow, it is a count of bytes. Positions are kept beside the
logs, so a restarted launcher resumes. Hosts that see the launcher's own work directory
are left out.
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
_LIMIT_BYTES = 4 * 2**20  # approximate limit of an answer


@dataclasses.dataclass(frozen=True)
class Position:
    """Position up to which a file of a host has been copied."""

    inode: int = 0
    offset: int = 0  # bytes
    rows: int = 0  # CSV only


@dataclasses.dataclass(frozen=True)
class Change:
    """Content after a position: `rows` of a CSV file, `data` of another."""

    to: Position
    rows: tuple[dict[str, str], ...] = ()
    data: bytes = b""


Positions = Mapping[str, Position]  # by path under logs


def read(workdir: str, since: Positions) -> dict[str, Change]:
    """Reads new logs under a work directory of this host, up to a limit per call."""
    root = pathlib.Path(workdir) / _LOGS
    changes: dict[str, Change] = {}
    size = 0
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(n for n in names if not n.startswith(".")):
            path = pathlib.Path(folder) / name
            if not path.is_file():  # for one, a pipe, whose reader would wait
                continue
            key = str(path.relative_to(root))
            position = since.get(key, Position())
            try:
                change = _read(path, position)
            except FileNotFoundError:  # renamed meanwhile
                continue
            if change.to != position:
                changes[key] = change
                size += change.to.offset - position.offset
            if size >= _LIMIT_BYTES:
                return changes
    return changes


def ends(workdir: str) -> dict[str, Position]:
    """Returns the ends of this host's log files, which an earlier run may have left."""
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
    start = f.tell()
    body = f.read()
    body = body[: body.rfind(b"\n") + 1]  # complete lines only
    if not header.endswith(b"\n"):
        return Change(position)
    lines = (header + body).decode().splitlines()
    rows = tuple(csv.DictReader(lines))
    if not same:
        # A resumed node may have dropped rows (`loggers.rewind`) that were copied.
        kept = min(position.rows, len(rows))
        return Change(Position(inode, start + len(body), len(rows)), rows=rows[kept:])
    return Change(
        Position(inode, start + len(body), position.rows + len(rows)), rows=rows
    )


class LogSync:
    """The launcher's side of the copy."""

    def __init__(self, workdir: str):
        """Raises ValueError if an earlier launcher's positions are unreadable."""
        self._root = pathlib.Path(workdir) / _LOGS
        self._positions: dict[str, dict[str, Position]] = {}
        if (self._root / _STATE).exists():
            self._positions = {
                ip: {key: Position(*values) for key, values in positions.items()}
                for ip, positions in atomic_files.read_json(self._root / _STATE).items()
            }

    def begin(self, ip: str, positions: Positions) -> None:
        """Skips the logs that were on a host before it was first seen."""
        self._positions.setdefault(ip, dict(positions))

    def positions(self, ip: str) -> Positions:
        """Returns the positions up to which the host's files have been copied."""
        return dict(self._positions.get(ip, {}))

    def apply(self, ip: str, changes: Mapping[str, Change]) -> None:
        """Adds a host's changes to the launcher's files."""
        for key, change in changes.items():
            path = self._root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            if change.rows:
                # A new logger, because a node on this host may have widened the file.
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
