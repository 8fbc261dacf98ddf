"""Tests of the offline training command and of what it leaves behind."""

import csv
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from agents.helms import skills
from agents.helms.config import HelmsConfig
from launchers import skill_training

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = HelmsConfig(
    num_skills=3,
    latent_dim=2,
    look_ahead=1,
    hidden_sizes=(8,),
    window=4,
    batch_size=4,
    learning_rate=1e-2,
)
OPTIONS = skill_training.TrainingOptions(
    steps=4, evaluate_every=2, evaluation_batches=2, show_progress=False
)
NAMES = {"proprio": ("arm",), "objects": ("red", "blue")}


class FakeData:
    """The interface of `datasets.loader` over noise; remembers what it was asked."""

    def __init__(self, stop_at=None, name="fake"):
        self.skips = []
        self._stop_at = stop_at
        self._name = name

    def load(self, directory):
        if directory == "missing":
            raise ValueError("data set missing does not exist")

    def manifest(self, directory):
        return {"dataset": self._name}

    def statistics(self, directory):
        return {
            "proprio": (np.zeros(5), np.ones(5)),
            "objects": (np.zeros(3), np.ones(3)),
        }

    def windows(self, directory, split, batch_size, window, look_ahead, seed, skip):
        if split == "train":
            self.skips.append(skip)
        number = skip
        while split == "train" or number < 3:
            if split == "train" and number == self._stop_at:
                raise KeyboardInterrupt
            rng = np.random.default_rng([seed, number, split == "train"])
            frames = window + look_ahead
            yield {
                "proprio": rng.normal(size=(batch_size, frames, 5)),
                "objects": rng.normal(size=(batch_size, frames, 3)),
                "action": rng.uniform(-1, 1, size=(batch_size, window, 2)),
                "mask": np.ones((batch_size, window)),
            }
            number += 1


def _training(workdir, config=CONFIG, options=OPTIONS, data=None, dataset="data"):
    return skill_training.SkillTraining(
        config, options, data or FakeData(), dataset, str(workdir), NAMES
    )


@pytest.fixture(name="finished", scope="module")
def _finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("finished")
    return directory, _training(directory).run()


def test_a_training_leaves_what_it_says(finished):
    tmp_path, summary = finished
    assert summary["steps"] == 4
    assert summary["elbo_after"] > summary["elbo_before"]
    np.testing.assert_allclose(sum(summary["skill_use"]), 1.0, rtol=1e-5)
    assert json.loads((tmp_path / "summary.json").read_text()) == summary

    bundle = skills.load(tmp_path / "skills", proprio_dim=5, object_dim=3, action_dim=2)
    np.testing.assert_allclose(
        bundle.transition_matrix(), summary["transition_prior"], rtol=1e-6
    )
    assert bundle.description["data"] == {"dataset": "fake"}
    assert bundle.description["observation_names"]["objects"] == ["red", "blue"]

    assert (tmp_path / "skills.png").read_bytes().startswith(b"\x89PNG")
    with open(tmp_path / "logs" / "evaluation" / "logs.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["learner_steps"] for row in rows] == ["0", "2", "4"]
    assert float(rows[-1]["elbo"]) == summary["elbo_after"]
    assert (tmp_path / "logs" / "train" / "logs.csv").is_file()
    assert list((tmp_path / "logs" / "train").glob("events.out.tfevents*"))
    text = skill_training.describe(summary)
    assert "skill 2 use" in text and f"{summary['elbo_after']:.3f} after" in text
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_an_interrupted_training_goes_on_and_equals_one_in_one_go(finished, tmp_path):
    directory, whole = finished
    with pytest.raises(KeyboardInterrupt):
        _training(tmp_path, data=FakeData(stop_at=3)).run()
    assert not (tmp_path / "skills").exists()
    data = FakeData()
    parts = _training(tmp_path, data=data).run()
    assert data.skips == [3]
    assert parts["elbo_before"] == whole["elbo_before"]
    assert parts["elbo_after"] == whole["elbo_after"]
    weights = [np.load(d / "skills" / "weights.npz") for d in (directory, tmp_path)]
    for name in weights[0].files:
        np.testing.assert_array_equal(weights[0][name], weights[1][name])


def test_a_finished_training_can_be_asked_for_more(finished, tmp_path):
    directory, first = finished
    shutil.copytree(directory, tmp_path / "copy")
    options = dataclasses.replace(OPTIONS, steps=5)
    more = _training(tmp_path / "copy", options=options).run()
    assert more["steps"] == 5
    assert more["seconds"] > first["seconds"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"config": dataclasses.replace(CONFIG, num_skills=4)}, "num_skills 3, not 4"),
        ({"config": dataclasses.replace(CONFIG, beta_y=0.5)}, "beta_y 1.0, not 0.5"),
        ({"data": FakeData(name="other")}, "another data set"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, change, message):
    run = {"model": "helms", "config": CONFIG.to_dict(), "before": {"elbo": 0.0}}
    run["data"] = skill_training._fingerprint({"dataset": "fake"})
    (tmp_path / "run.json").write_text(json.dumps(run))
    with pytest.raises(ValueError, match=message) as error:
        _training(tmp_path, **change)
    assert "\n" not in str(error.value)


def test_workdirs_of_other_programs_are_refused(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError, match="checkpoints of another program"):
        _training(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match=r"run.json is not readable"):
        _training(tmp_path)
    run = {"model": "npmp", "config": {}, "data": "", "before": {"elbo": 0.0}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    with pytest.raises(ValueError, match="model 'npmp', not 'helms'"):
        _training(tmp_path)


def test_bad_options_and_data_sets_are_refused(tmp_path):
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        skill_training.TrainingOptions(steps=0)
    with pytest.raises(ValueError, match="does not exist"):
        _training(tmp_path / "new", dataset="missing")
    assert not (tmp_path / "new").exists()


def _command(*flags):
    return subprocess.run(
        [sys.executable, "-m", "launchers.train_skills", *flags],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--model=npmp"], "model 'npmp' is not available yet; valid: helms"),
        (["--hidden_sizes=a,b"], "hidden_sizes must be integers, got a,b"),
        ([], "does not exist"),
    ],
)
def test_bad_input_to_the_command_is_one_line_and_exit_2(tmp_path, flags, message):
    result = _command(
        f"--dataset={tmp_path / 'none'}", f"--workdir={tmp_path / 'out'}", *flags
    )
    assert result.returncode == 2
    errors = [x for x in result.stderr.splitlines() if x.startswith("error: ")]
    assert len(errors) == 1 and message in errors[0]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()
