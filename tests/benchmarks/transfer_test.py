"""What the comparison of agents starts, and what is left of it when it is stopped."""

import json
import subprocess
import sys

import pytest

from tests.helpers import commands
from tests.helpers.untrained_skills import save_skills

# The runs are processes that sleep; a signal comes after two have been started.
_PROGRAM = """
import os, signal, subprocess, threading
from benchmarks import transfer
from launchers.common import cli, side_by_side
started = []

def start(command, log, core=None):
    settings = dict(flag[2:].split("=") for flag in command[3:])
    names = ("agent", "object_set", "high_level", "skill_steps")
    print(*(settings.get(name) for name in names), flush=True)
    started.append(subprocess.Popen(["sleep", "300"]))
    if len(started) == 2:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    return started[-1]

side_by_side.start = start
try:
    cli.run(transfer.main)
finally:
    print(*(process.returncode for process in started))
"""


@pytest.mark.slow
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


def _run(*flags):
    return commands.run("benchmarks.transfer", *flags)


def test_transfer_refuses_an_agent_without_its_bundle(tmp_path):
    done = _run("--agents=helms_cat", f"--out={tmp_path}")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "needs a bundle of helms" in done.stderr.strip().splitlines()[-1]


def _write_runs(directory, values):
    directory.mkdir()
    for seed, value in enumerate(values):
        rows = ["actor_steps,episode_return,success"]
        rows += [f"{400 * (i + 1)},{value * (i >= 8)},{seed}" for i in range(10)]
        (directory / f"mpo_{seed}.csv").write_text("\n".join(rows) + "\n")


def test_transfer_draws_what_is_there(tmp_path):
    _write_runs(tmp_path / "set_4_staged_sparse", [2.0, 4.0])
    flags = ("--draw", "--agents=mpo", "--steps=4000", f"--out={tmp_path}")
    done = _run(*flags)
    assert done.returncode == 0, done.stderr
    entry = json.loads(done.stdout.strip().splitlines()[-1])["mpo"]
    assert entry["return"] == 3.0 and entry["success"] == 0.5
    assert entry["area"] == pytest.approx(0.6)
    assert entry["runs"]["area"] == [0.4, 0.8]
    assert entry["low"]["area"] == pytest.approx(0.6 - 12.7062 * 0.2, abs=1e-4)
    assert (tmp_path / "transfer.png").exists()
    _write_runs(tmp_path / "set_1_staged_sparse", [1.0])
    done = _run(*flags, "--object_set=4,1,2")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["set_4_staged_sparse"]["mpo"] == entry
    assert found["set_1_staged_sparse"]["mpo"]["return"] == 1.0
    assert found["set_2_staged_sparse"] == {}


def test_transfer_refuses_a_condition_that_there_is_not(tmp_path):
    for flag, word in (("--object_set=4,9", "9"), ("--reward=dens", "dens")):
        done = _run("--draw", flag, f"--out={tmp_path}")
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert word in done.stderr.strip().splitlines()[-1]
