"""How a command ends, as `benchmarks.fuzz` calls it."""

from __future__ import annotations

import os
import pathlib
import runpy
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence

from absl import flags

from benchmarks.fuzzing import commands

_GRACE_SECONDS = 40.0  # for a command that was told to stop


def _start(argv: Sequence[str], output: pathlib.Path, own_flags: Sequence[str]) -> int:
    """Runs a command in a fork of this process, which has imported the libraries.

    What learns starts anew: TensorFlow does not find its functions in a fork.
    """
    if argv[0] in commands.LEARN:
        with output.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", *argv],
                stdout=file,
                stderr=file,
                start_new_session=True,
                cwd=output.parent,
                env={**os.environ, "PYTHONPATH": os.getcwd()},
            ).pid
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    with output.open("wb") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    code = 70
    try:
        os.chdir(output.parent)  # a relative path is in no one's way there
        module, *arguments = argv
        sys.argv = [module, *arguments]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for name in own_flags:
            delattr(flags.FLAGS, name)  # the command defines its own
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, seconds: float) -> int | None:
    """Returns the exit code, negative for a signal; None if it still runs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    return None


def run(
    argv: Sequence[str], output: pathlib.Path, limit: float, own_flags: Sequence[str]
) -> tuple[str, str]:
    """Runs a command; returns how it ended and what it printed.

    Args:
      argv: module and arguments.
      output: file for what it prints; it runs in the directory of the file.
      limit: seconds after which it gets SIGTERM.
      own_flags: names of the flags of this process, which the command may define.
    """
    pid = _start(argv, output, own_flags)
    code, stopped = _wait(pid, limit), False
    if code is None:
        os.kill(pid, signal.SIGTERM)
        code, stopped = _wait(pid, _GRACE_SECONDS), True
    if code is None:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    text = output.read_text(errors="replace")
    lines = [line for line in text.strip().splitlines() if line]
    if code is None:
        return "hang", text
    if "Traceback (most recent call last)" in text:
        return "traceback", text
    if code < 0:
        return "killed", text
    if stopped:
        return "stopped", text
    if code == 0:
        return "completed", text
    if code in (1, 2) and any(line.startswith("error: ") for line in lines[-1:]):
        return ("failed", "refused")[code - 1], text
    if code == 2 and argv[0] == "launchers.inspect_dataset":
        return "refused", text  # its problems are lines of their own
    return f"code {code}", text
