"""What the comparison of agents starts, and what is left of it when it is stopped."""

import subprocess
import sys

from tests.helpers import commands
from tests.helpers.untrained_skills import save_skills

# The runs are processes that sleep; a signal comes after two have been started.
_PROGRAM = """
import os, signal, subprocess, threading
from benchmarks import transfer
from benchmarks.common import training
from launchers.common import cli
started = []

def start(log, core=None, **settings):
    names = ("agent", "object_set", "high_level", "skill_steps")
    print(*(settings.get(name) for name in names), flush=True)
    started.append(subprocess.Popen(["sleep", "300"]))
    if len(started) == 2:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    return started[-1]

training.start = start
try:
    cli.run(transfer.main)
finally:
    print(*(process.returncode for process in started))
"""


def test_variants_are_started_and_end_with_the_benchmark(tmp_path):
    arguments = (
        "--agents=helms_cat,helms_cat_distilled",
        f"--skills={save_skills(tmp_path / 'skills')}",
        *("--seeds=1", "--jobs=2", "--object_set=2", "--skill_steps=3"),
        f"--out={tmp_path / 'out'}",
    )
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        cwd=commands.ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 143, done.stderr
    assert done.stdout.splitlines() == [
        "helms_cat 2 None 3",
        "helms_cat 2 distilled 3",
        "-15 -15",  # ended by SIGTERM
    ]


def test_what_there_is_not_gets_one_line_and_exit_2(tmp_path):
    for flag, words in (
        ("--agents=helms_cat_trained", "unknown agent 'helms_cat_trained'"),
        ("--agents=helms_cat_distilled", "needs a bundle of helms"),
        ("--object_set=9", "9"),
    ):
        out = tmp_path / "out"
        done = commands.run("benchmarks.transfer", flag, f"--out={out}")
        assert done.returncode == 2, done.stderr
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("error: ") and words in last
        assert not out.exists()
