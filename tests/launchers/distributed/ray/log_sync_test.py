"""Logs of other hosts reach the launcher's."""

import csv
import os
import pathlib

from launchers.common import loggers
from launchers.distributed.ray import (
    log_sync,
)


def _bring(source, to, ip="10.0.0.7"):
    copy = log_sync.LogSync(str(to))
    copy.apply(ip, log_sync.read(str(source), copy.positions(ip)))
    return copy


def _rows(root, node="actor_0"):
    with (pathlib.Path(root) / "logs" / node / "logs.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def test_log_sync_brings_rows_once_across_restarts_and_new_columns(tmp_path):
    source, to = tmp_path / "source", tmp_path / "to"
    logger = loggers.CsvLogger(source / "logs/actor_0/logs.csv")
    logger.write({"step": 1})
    _bring(source, to)
    logger.write({"step": 2})
    logger.write({"step": 3, "success": 1.0})  # rewrites the file
    _bring(source, to)  # a launcher that was started again
    _bring(source, to)
    logger.write({"step": 4, "success": 0.0})
    _bring(source, to)
    assert [row["step"] for row in _rows(to)] == ["1", "2", "3", "4"]
    assert [row["success"] for row in _rows(to)] == ["", "", "1.0", "0.0"]


def test_log_sync_goes_on_with_a_node_on_another_host(tmp_path):
    for name, ip in (("a", "10.0.0.7"), ("b", "10.0.0.8")):
        logger = loggers.CsvLogger(tmp_path / name / "logs/actor_0/logs.csv")
        logger.write({"step": name})
        _bring(tmp_path / name, tmp_path / "to", ip)
    assert [row["step"] for row in _rows(tmp_path / "to")] == ["a", "b"]


def test_log_sync_leaves_half_lines_and_hidden_files(tmp_path):
    path = tmp_path / "source/logs/actor_0/logs.csv"
    path.parent.mkdir(parents=True)
    (path.parent / ".12.logs.csv").write_text("aside\n")
    path.write_text("step,time\n1,2\n3,")
    _bring(tmp_path / "source", tmp_path / "to")
    with path.open("a") as f:
        f.write("4\n")
    _bring(tmp_path / "source", tmp_path / "to")
    assert [list(row.values()) for row in _rows(tmp_path / "to")] == [
        ["1", "2"],
        ["3", "4"],
    ]
    assert len(os.listdir(tmp_path / "to/logs/actor_0")) == 1


def test_log_sync_appends_output_and_skips_what_was_there_before(tmp_path):
    output = tmp_path / "source/logs/output/actor/0"
    output.parent.mkdir(parents=True)
    output.write_bytes(b"of an earlier run\n")
    copy = log_sync.LogSync(str(tmp_path / "to"))
    copy.begin("10.0.0.7", log_sync.ends(str(tmp_path / "source")))
    for text in (b"one\n", b"two\n"):
        with output.open("ab") as f:
            f.write(text)
        since = copy.positions("10.0.0.7")
        copy.apply("10.0.0.7", log_sync.read(str(tmp_path / "source"), since))
    assert (tmp_path / "to/logs/output/actor/0").read_bytes() == b"one\ntwo\n"


def test_rows_after_those_that_a_resumed_node_dropped_are_brought(tmp_path):
    source, to = tmp_path / "source", tmp_path / "to"
    path = source / "logs/actor_0/logs.csv"
    logger = loggers.CsvLogger(path)
    for step in (1, 2, 3):
        logger.write({"step": step})
    _bring(source, to)
    loggers.rewind(str(source), "actor_0", "step", 1)
    _bring(source, to)
    logger.write({"step": 4})
    _bring(source, to)
    assert [row["step"] for row in _rows(to)] == ["1", "2", "3", "4"]
