"""Logs of a run: a CSV and TensorBoard events for each node, one line for a terminal.

Every node writes `WORKDIR/logs/NODE/logs.csv`. The terminal's line is made from these
files, so it does not depend on whether nodes are threads, processes or one loop. A run
may have other loggers besides (`launchers.common.sinks`).
"""

from __future__ import annotations

import csv
import math
import pathlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import logging
from acme.utils import loggers
from acme.utils.loggers import aggregators, base, filters, tf_summary
from tensorflow.python.ops import summary_ops_v2

from filesystem import regular_files
from launchers.common import atomic_files, sinks

_FILE = "logs.csv"
_TAIL_BYTES = 8192  # read from a file's end; holds over ten rows of an actor
_LINE_EPISODES = 10


class CsvLogger(base.Logger):
    """Logger that appends rows to a CSV file across restarts; new columns widen it.

    Acme's CSV logger keeps the columns of its first row.
    """

    def __init__(self, path: pathlib.Path):
        """Drops an unfinished last line, which a full disk or a power cut leaves."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        if path.exists():
            _drop_unfinished_line(path)
        self._fields = _read(path)[0]

    def write(self, data: Mapping[str, Any]) -> None:
        """Writes one row at once."""
        new = [key for key in sorted(data) if key not in self._fields]
        if new:
            self._widen(self._fields + new)
        with self._path.open("a", newline="") as f:
            csv.DictWriter(f, self._fields, restval="").writerow(data)

    def close(self) -> None:
        """Does nothing: no file is held open."""

    def _widen(self, fields: list[str]) -> None:
        _write_rows(self._path, fields, _read(self._path)[1])
        self._fields = fields


def make_logger(
    workdir: str,
    node: str,
    steps_key: str,
    time_delta: float = 0.0,
    further: Sequence[str] = (),
) -> base.Logger:
    """Makes the logger of a node.

    Args:
      workdir: work directory of the run.
      node: name of the node, as learner, actor_0 or evaluator.
      steps_key: name of the value that is TensorBoard's step.
      time_delta: least seconds between rows; rows that come sooner are dropped.
      further: names of sinks beside the files, of `launchers.common.sinks`.
    """
    directory = pathlib.Path(workdir) / "logs" / node
    logger = aggregators.Dispatcher(
        [
            # First, because it reads which rows a resumed run has kept.
            _TensorBoard(workdir, node, steps_key),
            _Timestamped(CsvLogger(directory / _FILE)),
            *sinks.make(further, workdir, node, steps_key),
        ],
        loggers.to_numpy,
    )
    if time_delta > 0:
        return filters.TimeFilter(logger, time_delta)
    return logger


class _TensorBoard(base.Logger):
    """Logger of TensorBoard events, which ends what a killed run has logged in vain.

    Its first event in a directory that has events already says that a session starts
    after the rows of the CSV (`rewind` has dropped the others). TensorBoard then leaves
    out the events of an earlier session from that step on.
    """

    def __init__(self, workdir: str, node: str, steps_key: str):
        self._workdir, self._node, self._steps_key = workdir, node, steps_key
        self._to: tf_summary.TFSummaryLogger | None = None

    def write(self, data: Mapping[str, Any]) -> None:
        """Writes each value as a scalar of the row's step."""
        if self._to is None:
            self._to = self._begin()
        self._to.write(data)

    def _begin(self) -> tf_summary.TFSummaryLogger:
        directory = pathlib.Path(self._workdir) / "logs" / self._node
        resumes = any(directory.glob("events.out.tfevents.*"))
        logger = tf_summary.TFSummaryLogger(
            str(directory), label=self._node, steps_key=self._steps_key
        )
        if resumes:
            kept = last_row(self._workdir, self._node)
            event = tf.compat.v1.Event(
                wall_time=time.time(),
                step=int(kept.get(self._steps_key, -1)) + 1,
                session_log=tf.compat.v1.SessionLog(
                    status=tf.compat.v1.SessionLog.START
                ),
            )
            with logger.summary.as_default():
                for _ in range(2):  # the first of a directory is taken for the run's
                    summary_ops_v2.import_event(event.SerializeToString())
        return logger

    def close(self) -> None:
        """Closes the file of events."""
        if self._to is not None:
            self._to.close()


class _Timestamped(base.Logger):
    """Logger that adds the wall-clock time [s] to each row."""

    def __init__(self, to: base.Logger):
        self._to = to

    def write(self, data: Mapping[str, Any]) -> None:
        """Writes the row with its time."""
        self._to.write({**data, "time": round(time.time(), 3)})

    def close(self) -> None:
        """Closes the wrapped logger."""
        self._to.close()


def check(workdir: str) -> None:
    """Raises OSError if the log of a node cannot be opened."""
    for path in sorted(pathlib.Path(workdir).glob(f"logs/*/{_FILE}")):
        regular_files.open_file(path).close()


def rewind(workdir: str, node: str, steps_key: str, step: int) -> None:
    """Drops a node's rows after a step, which a resumed run writes again."""
    path = pathlib.Path(workdir) / "logs" / node / _FILE
    if not path.exists():
        return
    _drop_unfinished_line(path)
    fields, rows = _read(path)
    kept = [row for row in rows if float(row.get(steps_key) or 0.0) <= step]
    if len(kept) < len(rows):
        _write_rows(path, fields, kept)


def _drop_unfinished_line(path: pathlib.Path) -> None:
    with regular_files.open_file(path) as file:
        content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        logging.warning("%s: dropped its unfinished last line", path)
        with atomic_files.aside(path) as aside:
            aside.write_bytes(whole)


def _read(path: pathlib.Path) -> tuple[list[str], list[dict[str, str]]]:
    """Reads the columns and the rows; names rows that are none, and leaves them out."""
    if not path.exists():
        return [], []
    content = regular_files.read_text(path, errors="replace")
    lines = content[: content.rfind("\n") + 1].split("\n")  # the rest is being written
    fields = next(csv.reader(lines[:1]), [])
    rows = []
    for number, line in enumerate(lines[1:], 2):
        values = next(csv.reader([line]), []) if "\0" not in line else []
        if len(values) == len(fields) and all(map(_is_number, values)):
            rows.append(dict(zip(fields, values, strict=True)))
        elif line:
            logging.warning("%s: line %d is no row, and is left out", path, number)
    return fields, rows


def _is_number(text: str) -> bool:
    """Whether a cell is empty or a number."""
    try:
        float(text or 0.0)
    except ValueError:
        return False
    return True


def _write_rows(
    path: pathlib.Path, fields: Sequence[str], rows: Iterable[Mapping[str, str]]
) -> None:
    with atomic_files.aside(path) as aside, aside.open("w", newline="") as f:
        writer = csv.DictWriter(f, fields, restval="")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(workdir: str, node: str) -> list[dict[str, float]]:
    """Reads the rows that a node has written, as numbers; leaves empty values out."""
    _, rows = _read(pathlib.Path(workdir) / "logs" / node / _FILE)
    return [{k: float(v) for k, v in row.items() if v} for row in rows]


def last_rows(workdir: str, node: str) -> list[dict[str, float]]:
    """Reads the last few rows of a node, by time; reads only the file's end."""
    path = pathlib.Path(workdir) / "logs" / node / _FILE
    if not path.exists():
        return []
    with regular_files.open_file(path) as f:
        fields = f.readline().decode().strip().split(",")
        begin = f.tell()
        f.seek(max(begin, path.stat().st_size - _TAIL_BYTES))
        whole = f.tell() == begin
        text = f.read().decode(errors="replace")
    lines = text[: text.rfind("\n") + 1].splitlines()  # a last line may be unfinished
    rows = csv.reader(lines if whole else lines[1:])
    return [
        {k: float(v) for k, v in zip(fields, values, strict=True) if v}
        for values in rows
        if len(values) == len(fields) and all(map(_is_number, values))
    ]


def last_row(workdir: str, node: str) -> dict[str, float]:
    """Reads the last row of a node; empty if there is none."""
    return (last_rows(workdir, node) or [{}])[-1]


def next_evaluation(workdir: str, actor_steps: int, every: int) -> int:
    """Returns the actor steps of the next evaluation, a multiple of `every`, or 0."""
    evaluated = read_rows(workdir, "evaluator")
    if evaluated:
        return every * (1 + int(evaluated[-1]["actor_steps"]) // every)
    return every * -(-actor_steps // every)


def actors(workdir: str) -> list[str]:
    """Lists the actors that have logs."""
    return sorted(p.name for p in (pathlib.Path(workdir) / "logs").glob("actor*"))


def actor_rows(workdir: str) -> list[dict[str, float]]:
    """Reads the episodes of all actors, by time."""
    rows = [row for actor in actors(workdir) for row in read_rows(workdir, actor)]
    return sorted(rows, key=lambda row: row["time"])


def rate(rows: list[dict[str, float]], key: str, since: float) -> float:
    """Returns the increase of `key` per second over rows written after `since` [s].

    A single row gives its `steps_per_second`, no row gives 0.
    """
    rows = [row for row in rows if row["time"] >= since]
    points = [(row["time"], row[key]) for row in rows]
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return rows[-1].get("steps_per_second", 0.0) if rows else 0.0
    (begin, low), (end, high) = points[0], points[-1]
    return round((high - low) / (end - begin), 3)


class Progress:
    """Maker of the terminal's line of progress, with rates since the previous line."""

    def __init__(self, workdir: str, max_actor_steps: int | None = None):
        """Takes the actor steps at which the run ends, if they end it."""
        self._workdir = workdir
        self._max_actor_steps = max_actor_steps
        self._last = (time.time(), *self._steps(self._episodes()))

    def _steps(self, episodes: list[dict[str, float]]) -> tuple[float, float]:
        rows = [*episodes[-1:], last_row(self._workdir, "learner")]
        actor = max(row.get("actor_steps", 0.0) for row in rows)
        learner = max(row.get("learner_steps", 0.0) for row in rows)
        return actor, learner

    def _episodes(self) -> list[dict[str, float]]:
        """Reads the newest episodes of all actors, at least the last ten, by time."""
        rows = [r for a in actors(self._workdir) for r in last_rows(self._workdir, a)]
        return sorted(rows, key=lambda row: row["time"])

    def line(self) -> str:
        """Formats steps, rates, and returns of ten episodes and the last evaluation."""
        rows = self._episodes()
        now, (actor, learner) = time.time(), self._steps(rows)
        then, actor_then, learner_then = self._last
        self._last = (now, actor, learner)
        seconds = max(now - then, 1e-9)
        rate, limit = (actor - actor_then) / seconds, self._max_actor_steps
        goal = f" of {limit:,}" if limit else ""
        parts = [f"actor steps {actor:,.0f}{goal} ({rate:.1f}/s)"]
        if learner:
            learner_rate = (learner - learner_then) / seconds
            parts.append(f"learner steps {learner:,.0f} ({learner_rate:.1f}/s)")
        else:  # each takes up to a minute
            parts.append("no learner step yet: replay fills, then TensorFlow compiles")
        returns = [row["episode_return"] for row in rows[-_LINE_EPISODES:]]
        if returns:
            parts.append(f"return {sum(returns) / len(returns):.2f}")
        last = last_row(self._workdir, "evaluator")
        if last:
            text = f"evaluation {last['return_mean']:.2f}"
            if "success_rate" in last:
                text += f" (success {100 * last['success_rate']:.0f} %)"
            parts.append(text)
        if limit and rate > 0 and actor < limit:
            minutes = math.ceil((limit - actor) / rate / 60)
            parts.append(f"about {minutes:,} min left")
        return " | ".join(parts)
