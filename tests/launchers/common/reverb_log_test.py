"""Reverb's own lines reach who asks for them, and nobody else."""

import os
import subprocess
import sys

import pytest

from tests.helpers.commands import ROOT

_SERVES = """
import sys

import launchers, reverb

from launchers.common import cli

def main(argv):
    server = reverb.Server([reverb.Table.queue("t", 10)])
    server.stop()
    del server
    print("a line of the command", file=sys.stderr)

cli.run(main)
"""


@pytest.mark.parametrize(
    ("level", "arguments", "shown"),
    [
        (None, [], False),
        pytest.param("0", [], True, marks=pytest.mark.slow),
        pytest.param(None, ["--verbosity=0"], True, marks=pytest.mark.slow),
    ],
)
def test_reverb_is_silent_unless_asked(level, arguments, shown):
    variables = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    if level is not None:
        variables["TF_CPP_MIN_LOG_LEVEL"] = level
    done = subprocess.run(
        [sys.executable, "-c", _SERVES, *arguments],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "a line of the command" in done.stderr
    assert ("[reverb/" in done.stderr) == shown
    if not shown:
        assert done.stderr == "a line of the command\n"
