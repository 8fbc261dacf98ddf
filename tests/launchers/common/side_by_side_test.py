"""Real processes: so many at a time, each on its core, ended by SIGTERM."""

import contextlib
import functools
import signal
import sys

import pytest

from launchers.common import side_by_side


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr(side_by_side, "_POLL_SECONDS", 0.05)


def test_all_are_run_and_their_codes_told(tmp_path):
    script = "import os, sys; print(len(os.sched_getaffinity(0))); sys.exit({})"

    def start(code, core):
        command = [sys.executable, "-c", script.format(code)]
        return side_by_side.start(command, tmp_path / f"{code}.log", core)

    most = []
    starts = {f"run {code}": functools.partial(start, code) for code in range(3)}
    ended = side_by_side.run(starts, 2, lambda running: most.append(len(running)))
    assert dict(ended) == {"run 0": 0, "run 1": 1, "run 2": 2}
    assert max(most, default=0) <= 2
    for code in range(3):
        assert (tmp_path / f"{code}.log").read_text() == "1\n"  # cores


def test_those_that_run_end_with_the_caller(tmp_path):
    processes = []

    def start(command, core):
        processes.append(side_by_side.start(command, tmp_path / "log", core))
        return processes[-1]

    starts = {
        name: functools.partial(start, command)
        for name, command in (
            ("ends", ["true"]),
            ("runs", ["sleep", "300"]),
            ("waits", ["sleep", "300"]),
        )
    }
    with contextlib.closing(side_by_side.run(starts, 2, lambda _: None)) as ended:
        assert next(ended) == ("ends", 0)
    assert [process.returncode for process in processes] == [0, -signal.SIGTERM]
