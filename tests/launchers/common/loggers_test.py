"""CSV logs survive new columns and restarts; the terminal's line is made from them."""

import os

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import plugin_event_accumulator

from launchers.common import loggers


def test_new_columns_widen_the_file(tmp_path):
    path = tmp_path / "logs" / "actor_0" / "logs.csv"
    loggers.CsvLogger(path).write({"a": 1, "time": 1.0})
    loggers.CsvLogger(path).write({"a": 2, "b": 3, "time": 2.0})
    loggers.CsvLogger(path).write({"b": 4, "time": 3.0})
    assert loggers.read_rows(str(tmp_path), "actor_0") == [
        {"a": 1.0, "time": 1.0},
        {"a": 2.0, "b": 3.0, "time": 2.0},
        {"b": 4.0, "time": 3.0},
    ]


def test_rate():
    rows = [{"time": t, "n": n} for t, n in ((0.0, 9.0), (10.0, 20.0), (14.0, 40.0))]
    assert loggers.rate(rows, "n", since=5.0) == 5.0
    assert loggers.rate(rows[:1], "n", since=5.0) == 0.0


def test_line(tmp_path):
    progress = loggers.Progress(str(tmp_path))
    assert progress.line().startswith("actor steps 0 ")
    for node, row in (
        ("actor_0", {"actor_steps": 400, "episode_return": 1.0}),
        ("actor_1", {"actor_steps": 800, "episode_return": 2.0}),
        ("learner", {"learner_steps": 12}),
        ("evaluator", {"actor_steps": 0, "return_mean": 3.0, "success_rate": 0.25}),
    ):
        logger = loggers.make_logger(str(tmp_path), node, next(iter(row)))
        logger.write(row)
        logger.close()
    line = progress.line()
    assert "actor steps 800" in line and "learner steps 12" in line
    assert "return 1.50" in line and "evaluation 3.00 (success 25 %)" in line
    assert "left" not in line


def test_line_of_a_run_that_begins_and_ends(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(loggers.time, "time", lambda: now[0])
    progress = loggers.Progress(str(tmp_path), max_actor_steps=4000)
    monkeypatch.setattr(
        progress, "_episodes", lambda: [{"actor_steps": 400.0, "episode_return": 1.0}]
    )
    now[0] += 10.0
    line = progress.line()
    assert line.startswith("actor steps 400 of 4,000 (40.0/s) | no learner step yet")
    assert line.endswith("about 2 min left")  # 3600 / 40 = 90 s


def test_last_row_reads_the_end(tmp_path):
    logger = loggers.CsvLogger(tmp_path / "logs" / "x" / "logs.csv")
    assert loggers.last_row(str(tmp_path), "x") == {}
    for i in range(2000):
        logger.write({"a": i, "b": 2 * i})
    assert loggers.last_row(str(tmp_path), "x") == {"a": 1999.0, "b": 3998.0}
    with (tmp_path / "logs" / "x" / "logs.csv").open("a") as f:
        f.write("2000,40")  # half a row
    assert loggers.last_row(str(tmp_path), "x") == {"a": 1999.0, "b": 3998.0}
    rows = loggers.last_rows(str(tmp_path), "x")
    assert [row["a"] for row in rows] == list(range(2000 - len(rows), 2000))
    assert 10 < len(rows) < 2000


def test_an_unfinished_last_line_is_dropped_when_a_run_resumes(tmp_path):
    path = tmp_path / "logs" / "x" / "logs.csv"
    loggers.CsvLogger(path).write({"a": 1, "b": 2})
    with path.open("ab") as f:
        f.write(b"2,0.12e-")
    assert loggers.read_rows(str(tmp_path), "x") == [{"a": 1.0, "b": 2.0}]
    loggers.CsvLogger(path).write({"a": 3, "b": 4})
    assert path.read_text().splitlines() == ["a,b", "1,2", "3,4"]


def test_rows_that_are_none_are_left_out_and_named(tmp_path, caplog):
    path = tmp_path / "logs" / "x" / "logs.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a,b\n1,2\n\x00\x00\x00\n0.12e-,4\n5\n6,7\n")
    rows = [{"a": 1.0, "b": 2.0}, {"a": 6.0, "b": 7.0}]
    with caplog.at_level("WARNING", logger="absl"):
        assert loggers.read_rows(str(tmp_path), "x") == rows
    named = [record.getMessage() for record in caplog.records]
    assert [line.split(": ")[1].split(" is")[0] for line in named] == [
        "line 3",
        "line 4",
        "line 5",
    ]
    assert all(str(path) in line for line in named)
    loggers.rewind(str(tmp_path), "x", "a", 5)
    assert loggers.read_rows(str(tmp_path), "x") == rows[:1]


@pytest.mark.timeout(20)
def test_logs_that_are_a_pipe_are_not_waited_for(tmp_path):
    (tmp_path / "logs" / "learner").mkdir(parents=True)
    os.mkfifo(tmp_path / "logs" / "learner" / "logs.csv")
    for read in (loggers.read_rows, loggers.last_rows):
        with pytest.raises(OSError, match="not a regular file"):
            read(str(tmp_path), "learner")
    with pytest.raises(OSError, match="not a regular file"):
        loggers.rewind(str(tmp_path), "learner", "learner_steps", 0)


def _scalars(workdir, tag, purges=True):
    """Steps and values of a curve, as TensorBoard shows it."""
    accumulator = plugin_event_accumulator.EventAccumulator(
        str(workdir / "logs" / "learner"), purge_orphaned_data=purges
    )
    accumulator.Reload()
    events = accumulator.Tensors(f"learner/{tag}")
    return [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events]


def test_tensorboard_shows_no_step_of_a_killed_run_twice(tmp_path):
    """Runs log steps 10, 20, ...; each resumes from a checkpoint of the one before."""
    runs = [(0, 60), (30, 80), (80, 90), (0, 20)]  # steps before the first and last row
    for run, (begin, end) in enumerate(runs):
        # As in a run, the logger is made before the checkpoint is read.
        logger = loggers.make_logger(str(tmp_path), "learner", "steps")
        loggers.rewind(str(tmp_path), "learner", "steps", begin)
        for step in range(begin + 10, end + 1, 10):
            logger.write({"steps": step, "run": run})
        del logger  # which flushes, as the end of a process does
        if run == 1:
            shown = [(10, 0.0), (20, 0.0), (30, 0.0)]
            shown += [(step, 1.0) for step in range(40, 81, 10)]
            assert _scalars(tmp_path, "Run") == shown
            assert len(_scalars(tmp_path, "Run", purges=False)) == 11
        if run == 2:  # nothing was lost
            assert _scalars(tmp_path, "Run") == [*shown, (90, 2.0)]
    assert _scalars(tmp_path, "Run") == [(10, 3.0), (20, 3.0)]
