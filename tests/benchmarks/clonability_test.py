"""Stages by hand, and the command on a data set of noise."""

import json
import pathlib

import numpy as np
import pytest

from benchmarks import clone_runs
from datasets.rlds import files, schema
from environments import EnvironmentConfig, rewards, tasks
from environments.sensors import INWARD_GRASP, NO_GRASP
from tests.helpers import commands, dataset_files

ROOT = pathlib.Path(__file__).resolve().parents[2]
_BLUE = np.array([0.6, 0.0, 0.07])
_ON_BLUE = _BLUE + [0.0, 0.0, 0.04]


@pytest.mark.parametrize(
    ("stage", "pinch", "red", "grasp"),
    [
        ("none", [0.5, 0.1, 0.3], [0.6, 0.1, 0.07], NO_GRASP),
        ("none", [0.5, 0.1, 0.3], [0.6, 0.1, 0.07], INWARD_GRASP),
        ("reach", [0.6, 0.1, 0.08], [0.6, 0.1, 0.07], NO_GRASP),
        ("grasp", [0.6, 0.1, 0.08], [0.6, 0.1, 0.07], INWARD_GRASP),
        ("lift", [0.6, 0.1, 0.16], [0.6, 0.1, 0.16], INWARD_GRASP),
        ("hover", _ON_BLUE, _ON_BLUE, INWARD_GRASP),
        ("stack", _ON_BLUE, _ON_BLUE, NO_GRASP),
        ("leave", _ON_BLUE + [0.0, 0.0, 0.1], _ON_BLUE, NO_GRASP),
    ],
)
def test_the_furthest_stage_of_a_state(stage, pinch, red, grasp):
    objects = {"red": red, "green": [0.7, -0.1, 0.07], "blue": _BLUE}
    state = rewards.State(pinch, objects, finger=0.0, grasp=grasp)
    found = clone_runs.furthest_stage(tasks.TASKS["stack_red_blue"], state)
    assert clone_runs.STAGES[found] == stage


def _run(*arguments):
    return commands.run("benchmarks.clonability", *map(str, arguments))


@pytest.mark.slow
def test_a_clone_of_several_tasks_is_trained_and_run(tmp_path):
    settings = schema.Settings(
        EnvironmentConfig.paper(reward="dense"),
        "fake",
        3,
        dataset="all_pairs_stacking",
    )
    data = dataset_files.write(tmp_path / "data", dataset_files.all_pairs(3))
    manifest = files.read_manifest(data) | {"settings": settings.to_dict()}
    files.write_json(data / files.MANIFEST, manifest)
    run = _run(
        f"--dataset={data}",
        f"--workdir={tmp_path / 'run'}",
        *("--steps=3", "--episodes=2", "--batch_size=2", "--processes=1"),
        *("--finger=bernoulli", "--sampled"),
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    result = json.loads(lines[-1])
    assert 0 <= result["low"] <= result["success"] <= result["high"] <= 1
    assert (result["episodes"], result["steps"]) == (2, 3)
    assert (result["finger"], result["sampled"]) == ("bernoulli", True)
    assert 0 <= result["return"] <= 400
    assert list(result["stages"]) == list(clone_runs.STAGES)
    assert sum(result["stages"].values()) == 2
    told = [(c["task"], c["object_set"]) for c in result["combinations"]]
    assert told == [settings.combination(i) for i in range(2)]
    assert lines[-2].split()[:2] == ["all", "2"]


def test_a_data_set_that_does_not_say_how_it_came_about_is_refused(tmp_path):
    data = dataset_files.write(tmp_path / "data", dataset_files.examples(2))
    with pytest.raises(ValueError, match="lacks the settings in its manifest.json"):
        clone_runs.read_settings(data)
    told = {"task": "pyramid", "reward": "dense", "object_set": 4, "expert": "random"}
    told |= {"domain_randomization": False, "max_action_delay": 0, "episodes": 2}
    manifest = files.read_manifest(data) | {"settings": told}
    files.write_json(data / files.MANIFEST, manifest)
    with pytest.raises(ValueError, match="task 'pyramid' has no context; valid: stack"):
        clone_runs.read_settings(data)


def test_bad_input_gets_one_line_and_exit_2():
    run = _run("--dataset=tests")
    assert run.returncode == 2
    assert "is not a data set" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr
