"""Ctrl-C and SIGTERM end a command with one line, whatever it does meanwhile."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from launchers.common import signals
from tests.helpers.commands import ROOT
from tests.helpers.waiting import until


@pytest.mark.parametrize(
    "arguments",
    [
        ("launchers.train_skills",),  # imports TensorFlow before its main
        ("launchers.evaluate", "--workdir=/nowhere"),  # and this one in its main
    ],
    ids=lambda arguments: arguments[0],
)
def test_ctrl_c_during_imports_is_one_line(arguments):
    command = [sys.executable, "-m", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        maps = pathlib.Path(f"/proc/{process.pid}/maps")
        until(lambda: "libtensorflow_framework" in maps.read_text())
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    assert printed == "interrupted\n"
    assert process.returncode == 130


_STOPS = """
import os, signal, sys, time
from launchers.common import cli

def main(argv):
    os.kill(os.getpid(), getattr(signal, argv[1]))
    time.sleep(30)

def library(argv):  # as NumPy does while it loads
    try:
        main(argv)
    except KeyboardInterrupt:
        raise ImportError("multiarray failed to import")

def handles(argv):
    try:
        main(argv)
    except KeyboardInterrupt:
        print("saved", file=sys.stderr)
        raise SystemExit(7)

cli.run({"main": main, "library": library, "handles": handles}[sys.argv.pop()], 1)
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("function", "code", "line"),
    [
        ("main", 130, "interrupted"),
        ("library", 130, "interrupted"),
        ("handles", 7, "saved"),
    ],
)
def test_a_command_that_is_stopped_prints_one_line(number, function, code, line):
    command = [sys.executable, "-c", _STOPS, number, function]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (code, f"{line}\n")


def test_a_program_that_imports_the_package_keeps_its_handlers():
    script = (
        "import signal; import launchers\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


@pytest.mark.timeout(20)
def test_a_reason_that_is_a_pipe_is_none(tmp_path):
    os.mkfifo(tmp_path / signals.STOPPED)
    assert signals.take_reason(str(tmp_path)) == "signal"
    assert not list(tmp_path.iterdir())
