"""The command as outside checks run it."""

import json
import pathlib
import subprocess
import sys

import pytest

from tests.helpers import commands

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _run(*arguments, timeout=280):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.slow
def test_a_few_light_actors(tmp_path):
    run = _run(
        "--light_actors=4",
        "--seconds=3",
        "--steps_per_second=80",
        "--update_period=20",
        "--recorded_episodes=1",
        f"--out={tmp_path}",
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout.splitlines()[-1])
    assert result["actors"] == 4
    assert result["lost"] == 0 and result["errors"] == 0
    assert result["items_created"] == result["items_received"] > 0
    assert 0 < result["steps_per_second"] < 100
    assert result["inserts_per_second"] > 0
    assert result["insert_p50_seconds"] <= result["insert_p99_seconds"]
    assert result["fetch_p99_seconds"] > 0
    assert result["replay_connections"] >= 4 and result["cacher_connections"] >= 4
    assert set(result["nodes"]) >= {"replay", "cacher", "actors_0", "actors_1"}
    assert (tmp_path / "light_4_80.json").exists()
    assert (tmp_path / "light_4_80.csv").exists()
    assert (tmp_path / "scaling.png").stat().st_size > 0


@pytest.mark.slow
def test_costs_and_model(tmp_path):
    run = _run(
        "--saturate",
        "--model_actors=1500",
        "--real_actors=1",
        "--seconds=5",
        "--recorded_episodes=1",
        f"--out={tmp_path}",
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout.splitlines()[-1])
    assert result["real"][0]["steps_per_second"] > 0
    assert result["saturation"]["inserts_lost"] == 0
    for name in ("inserts", "fetches", "batches"):
        assert result["saturation"][f"{name}_per_second_of_one_core"] > 0
    costs = result["saturation"]
    assert 1.0 < costs["fetch_wire_bytes"] / costs["variables_bytes"] < 1.1
    assert result["model"]["replay_shards"] >= 1
    assert len(result["model"]["checks"]) == 1


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--light_actors=0", "valid: 1 or more"),
        ("--real_actors=1,no", "valid: numbers above 0"),
    ],
)
def test_bad_input_gets_one_line_and_exit_2(argument, message, tmp_path):
    run = commands.run("benchmarks.scaling", argument, f"--out={tmp_path}")
    assert run.returncode == 2
    assert message in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr
