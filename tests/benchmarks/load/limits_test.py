"""A real process, held by the kernel, where this machine and user can do that."""

import pathlib
import subprocess
import sys
import time

import pytest

from benchmarks.load import limits, usage

try:
    limits.check(0.1)
    REFUSED = ""
except ValueError as e:
    REFUSED = str(e)


def _used(pid, seconds=1.0):
    """Cores that it uses."""
    before, begin = usage.cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (usage.cpu_seconds(pid) - before) / (time.monotonic() - begin)


@pytest.mark.skipif(bool(REFUSED), reason=REFUSED)
def test_a_process_is_held_and_let_go():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        group = pathlib.Path(f"/proc/{busy.pid}/cgroup")
        before = group.read_text()
        with limits.held(0.1, busy.pid):
            assert group.read_text() != before
            assert _used(busy.pid) < 0.2
        assert f"helms_{busy.pid}" not in group.read_text()
        assert _used(busy.pid) > 0.25
        with limits.held(None, busy.pid):
            assert f"helms_{busy.pid}" not in group.read_text()
        busy.kill()


def test_what_cannot_be_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "_MOUNT", tmp_path / "not_there")
    with pytest.raises(ValueError, match="cannot hold a process to 0.1 cores: No such"):
        limits.check(0.1)
    limits.check(None)
