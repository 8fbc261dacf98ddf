"""One process at a time has a work directory."""

import pathlib
import subprocess
import sys

import pytest

from launchers.common import workdir_lock
from tests.helpers.commands import ROOT

_HOLD = """
import pathlib, sys
from launchers.common import workdir_lock
workdir_lock.hold(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_has_died(tmp_path):
    directory = tmp_path / "run"
    first = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(directory)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert first.stdout is not None and first.stdout.readline() == b"held\n"
    with pytest.raises(ValueError, match="another process is running in") as error:
        workdir_lock.hold(directory)
    assert "\n" not in str(error.value)
    first.kill()
    first.wait()
    workdir_lock.hold(directory)
    workdir_lock.hold(pathlib.Path(f"{directory}/../run"))  # the same once more
