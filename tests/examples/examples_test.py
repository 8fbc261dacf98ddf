"""Each example runs small as a user calls it, and refuses bad input in one line."""

import json
import pathlib
import subprocess
import sys

import imageio.v2 as imageio
import pytest

from tests.helpers import commands

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _run(name, *flags):
    run = commands.run(f"examples.{name}", *flags)
    assert run.returncode == 0, run.stderr
    return run.stdout


def _run_long(name, *flags):
    """In a process of its own, not a fork of one that has TensorFlow's threads."""
    run = subprocess.run(
        [sys.executable, "-m", f"examples.{name}", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_environment_loop():
    out = _run("environment_loop")
    assert "rgb30_red/abs_pose       float32 (3, 7)\n" in out
    assert "success: True\n" in out  # the scripted expert, on this seed


@pytest.mark.gl
def test_environment_loop_draws(tmp_path):
    picture = tmp_path / "new" / "scene.png"
    out = _run(
        "environment_loop", "--task=pyramid", "--expert=random", f"--picture={picture}"
    )
    assert "success: False\n" in out
    assert imageio.imread(picture).shape == (240, 320, 3)


@pytest.mark.gl
def test_act_with_skills(tmp_path):
    picture = tmp_path / "act.png"
    out = _run("act_with_skills", f"--picture={picture}")
    assert "success: True\n" in out  # of these skills on this seed
    used = next(line for line in out.splitlines() if line.startswith("a skill"))
    skills = list(map(int, used.split(":")[1].split()))
    assert len(skills) == 80
    assert len(set(skills)) > 2
    assert imageio.imread(picture).shape[:2] == (272, 800)


@pytest.mark.slow
def test_learn_skills(tmp_path):
    out = _run_long("learn_skills", "--episodes=2", "--steps=2", f"--out={tmp_path}")
    assert "2 of 2 episodes succeed\n" in out
    assert "skill 4 use: " in out
    assert (tmp_path / "skills" / "skills" / "weights.npz").exists()
    assert (tmp_path / "skills" / "skills.png").exists()
    summary = json.loads((tmp_path / "skills" / "summary.json").read_text())
    assert summary["steps"] == 2


@pytest.mark.slow
def test_transfer(tmp_path):
    flags = ("--steps=400", "--episodes=1", f"--workdir={tmp_path}")
    out = _run_long("transfer", *flags)
    assert "return at the start: " in out
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["actor_steps"] == 400
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["environment"]["object_set"] == 1
    again = commands.run("examples.transfer", "--object_set=2", *flags)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.count("\n") == 1
    assert "object_set 1 and not 2" in again.stderr


@pytest.mark.parametrize(
    "name, flag, valid",
    [
        ("environment_loop", "--task=juggle", "stack_red_green"),
        ("environment_loop", "--expert=me", "scripted"),
        ("act_with_skills", "--skills=nowhere", "nowhere"),
        ("act_with_skills", "--object_set=99", "valid: 1, "),
        ("learn_skills", "--episodes=0", "from 1"),
        ("learn_skills", "--episodes=2", "not empty"),
        ("transfer", "--steps=0", "positive"),
        ("transfer", "--object_set=9", "valid: 1, "),
    ],
)
def test_bad_input_gets_one_line(tmp_path, name, flag, valid):
    flags = [flag]
    if name == "learn_skills":
        flags.append(f"--out={tmp_path}")
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "else").touch()
    if name == "transfer":
        flags.append(f"--workdir={tmp_path}")
    run = commands.run(f"examples.{name}", *flags)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.count("\n") == 1
    assert valid in run.stderr
