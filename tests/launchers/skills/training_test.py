"""Tests of an offline training and of what it leaves behind."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest

from agents import registry
from agents.bc.config import BcConfig
from agents.helms import frozen
from agents.helms.config import HelmsConfig
from datasets import loader
from environments import observations
from launchers.skills import record, report
from launchers.skills import training as skill_training
from tests.helpers import dataset_files
from tests.helpers.offline_models import checkpoint_contents

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


def _training(
    workdir,
    config=CONFIG,
    options=OPTIONS,
    data=None,
    dataset="data",
    model="helms",
    restart=False,
):
    return skill_training.SkillTraining(
        model,
        config,
        options,
        data or FakeData(),
        dataset,
        str(workdir),
        NAMES,
        restart,
    )


def _rows(workdir, node):
    with open(workdir / "logs" / node / "logs.csv") as file:
        return list(csv.DictReader(file))


def _assert_same_checkpoints(first, second):
    one, other = checkpoint_contents(first), checkpoint_contents(second)
    assert sorted(one) == sorted(other)
    assert {name.split("/")[0] for name in one} == {
        "networks",
        "num_steps",
        "optimizer",
        "selection",
    }
    for name, value in one.items():
        assert value == other[name], name


@pytest.fixture(name="finished", scope="module")
def _finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("finished")
    return directory, _training(directory).run()


def test_a_training_leaves_what_it_says(finished):
    tmp_path, summary = finished
    assert summary["steps"] == summary["best_step"] == 4
    assert summary["elbo_after"] > summary["elbo_before"]
    np.testing.assert_allclose(sum(summary["skill_use"]), 1.0, rtol=1e-5)
    assert json.loads((tmp_path / "summary.json").read_text()) == summary

    bundle = frozen.load(tmp_path / "skills", proprio_dim=5, object_dim=3, action_dim=2)
    np.testing.assert_allclose(
        bundle.transition_matrix(), summary["transition_prior"], rtol=1e-6
    )
    told = {"dataset": "fake", "fingerprint": record.fingerprint({"dataset": "fake"})}
    assert bundle.description["data"] == told
    listed = record.facts({"dataset": "fake", "episode_indices": [0]})
    assert listed.keys() == told.keys()
    assert listed["fingerprint"] != told["fingerprint"]
    assert bundle.description["observation_names"]["objects"] == ["red", "blue"]
    assert bundle.description["training"] == summary

    assert (tmp_path / "skills.png").read_bytes().startswith(b"\x89PNG")
    for node in ("evaluation", "train_evaluation"):
        rows = _rows(tmp_path, node)
        assert [float(row["learner_steps"]) for row in rows] == [0, 2, 4]
        assert float(rows[-1]["active_latents"]) >= 0
    assert float(_rows(tmp_path, "evaluation")[-1]["elbo"]) == summary["elbo_after"]
    assert (tmp_path / "logs" / "train" / "logs.csv").is_file()
    assert list((tmp_path / "logs" / "train").glob("events.out.tfevents*"))
    text = report.describe(summary)
    assert "skill 2 use" in text and f"-> {summary['elbo_after']:.3f}" in text
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_an_interrupted_training_goes_on_and_equals_one_in_one_go(finished, tmp_path):
    directory, whole = finished
    with pytest.raises(KeyboardInterrupt):
        _training(tmp_path, data=FakeData(stop_at=3)).run()
    assert not (tmp_path / "skills").exists()
    data = FakeData()
    training = _training(tmp_path, data=data)
    data.skips.clear()
    parts = training.run()
    assert data.skips[0] == 3  # the rest are evaluations'
    for key in ("before", "after", "best_step"):
        assert parts[key] == whole[key]
    _assert_same_checkpoints(directory, tmp_path)
    for node in ("evaluation", "train_evaluation"):
        keys = set(_rows(directory, node)[0]) - {"time"}
        for one, other in zip(
            _rows(directory, node), _rows(tmp_path, node), strict=True
        ):
            assert {k: one[k] for k in keys} == {k: other[k] for k in keys}


@pytest.mark.usefixtures("eagerly")
def test_rows_of_steps_that_are_taken_again_are_dropped(finished, tmp_path):
    directory, _ = finished
    _training(tmp_path, options=dataclasses.replace(OPTIONS, steps=2)).run()
    # As a kill after more steps than the checkpoint has would leave them.
    shutil.copytree(directory / "logs", tmp_path / "logs", dirs_exist_ok=True)
    _training(tmp_path).run()
    steps = [float(row["learner_steps"]) for row in _rows(tmp_path, "evaluation")]
    assert steps == [0, 2, 4]


def test_a_training_whose_checkpoint_is_gone_does_not_begin_anew(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "checkpoints")
    with pytest.raises(ValueError, match="has logged steps, and its checkpoint is"):
        _training(tmp_path / "copy")
    (tmp_path / "copy" / "checkpoints" / "skills").mkdir(parents=True)
    (tmp_path / "copy" / "checkpoints" / "skills" / "checkpoint").write_text("x")
    with pytest.raises(ValueError, match="missing or damaged; nothing was changed"):
        _training(tmp_path / "copy")


@pytest.mark.usefixtures("eagerly")
def test_a_log_that_cannot_be_read_changes_nothing(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "w")
    log = tmp_path / "w" / "logs" / "train_evaluation" / "logs.csv"
    log.unlink()
    log.mkdir()
    record = (tmp_path / "w" / "run.json").read_bytes()
    with pytest.raises(OSError, match="not a regular file"):
        _training(tmp_path / "w")
    assert (tmp_path / "w" / "run.json").read_bytes() == record


@pytest.mark.usefixtures("eagerly")
def test_a_restart_moves_the_training_aside(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "checkpoints")
    _training(tmp_path / "copy", restart=True)
    assert not (tmp_path / "copy" / "logs" / "train" / "logs.csv").exists()
    before = tmp_path / "copy.before_1"
    assert _rows(before, "evaluation") == _rows(finished[0], "evaluation")


def test_a_finished_training_can_be_asked_for_more(finished, tmp_path):
    directory, first = finished
    shutil.copytree(directory, tmp_path / "copy")
    options = dataclasses.replace(OPTIONS, steps=5)
    more = _training(tmp_path / "copy", options=options).run()
    assert more["steps"] == 5
    assert more["seconds"] > first["seconds"]


# With this step size the fake data's bound is best after one step and worse in the six
# after it.
OVERSHOOTING = dataclasses.replace(CONFIG, learning_rate=0.05)
AT_EACH_STEP = dataclasses.replace(OPTIONS, evaluate_every=1)


@pytest.mark.usefixtures("eagerly")
def test_the_bundle_is_of_the_best_evaluation_also_after_a_restart(tmp_path):
    options = dataclasses.replace(AT_EACH_STEP, steps=3)
    for _ in range(2):
        summary = _training(tmp_path, OVERSHOOTING, options).run()
        elbos = [float(row["elbo"]) for row in _rows(tmp_path, "evaluation")]
        best = int(np.argmax(elbos))
        assert 0 < best < len(elbos) - 1 == options.steps
        assert summary["best_step"] == best
        assert summary["elbo_after"] == elbos[best]
        options = dataclasses.replace(options, steps=6)
    bundle = frozen.load(tmp_path / "skills")

    stopped = _training(
        tmp_path / "stopped",
        OVERSHOOTING,
        dataclasses.replace(options, steps=best, evaluate_every=best),
    )
    stopped.run()
    assert (
        frozen.load(tmp_path / "stopped" / "skills").description["checksum"]
        == (bundle.description["checksum"])
    )


@pytest.mark.usefixtures("eagerly")
def test_patience_ends_a_training_that_does_not_get_better(tmp_path):
    options = dataclasses.replace(AT_EACH_STEP, steps=40, patience=3)
    for _ in range(2):  # a second call finds that it is over
        summary = _training(tmp_path, OVERSHOOTING, options).run()
        assert summary["steps"] == summary["best_step"] + 3 < 40
    more = dataclasses.replace(options, patience=5)
    assert _training(tmp_path, OVERSHOOTING, more).run()["steps"] > summary["steps"]
    first, _, third = json.loads((tmp_path / "run.json").read_text())["starts"]
    assert first["versions"]["tensorflow-cpu"] and "learner_steps" not in first
    assert third["learner_steps"] == summary["steps"]
    assert third["changed"] == {"patience": [3, 5]}


def _record(**changes):
    run = {"model": "helms", "config": CONFIG.to_dict()}
    run["data"] = record.fingerprint({"dataset": "fake"})
    return json.dumps({**run, **changes})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"config": dataclasses.replace(CONFIG, num_skills=4)}, "num_skills 3, not 4"),
        ({"config": dataclasses.replace(CONFIG, beta_y=0.5)}, "beta_y 1.0, not 0.5"),
        ({"data": FakeData(name="other")}, "another data set"),
        (
            {"model": "bc", "config": BcConfig(window=4, batch_size=4)},
            "model 'helms', not 'bc'",
        ),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, change, message):
    (tmp_path / "run.json").write_text(_record())
    with pytest.raises(ValueError, match=message) as error:
        _training(tmp_path, **change)
    assert "\n" not in str(error.value)


def test_data_sets_made_elsewhere_are_told_apart(tmp_path):
    episodes = dataset_files.examples(4)
    for i, name in enumerate(("one", "two")):
        dataset_files.write_plain(tmp_path / name, episodes[2 * i : 2 * i + 2])
    small = BcConfig(hidden_sizes=(8,), window=5, batch_size=4)
    workdir = str(tmp_path / "work")

    def start(name):
        return skill_training.SkillTraining(
            "bc",
            small,
            OPTIONS,
            loader,
            str(tmp_path / name),
            workdir,
            observations.GROUPS,
        )

    start("one")
    start("one")
    with pytest.raises(ValueError, match="holds a checkpoint of another data set"):
        start("two")


def test_a_record_older_than_a_setting_is_of_its_default(tmp_path):
    config = CONFIG.to_dict()
    del config["learning_rate_schedule"]
    (tmp_path / "run.json").write_text(_record(config=config))
    _training(tmp_path)
    cosine = dataclasses.replace(
        CONFIG, learning_rate_schedule="cosine", learning_rate_steps=4
    )
    with pytest.raises(ValueError, match="learning_rate_schedule constant, not cosine"):
        _training(tmp_path, cosine)


def test_workdirs_of_other_programs_are_refused(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError, match="checkpoints of another program"):
        _training(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run.json is not readable"):
        _training(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match=r"run.json is not the record of a training"):
        _training(tmp_path)


def test_bad_options_and_data_sets_are_refused(tmp_path):
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        skill_training.TrainingOptions(steps=0)
    with pytest.raises(ValueError, match="patience must be at least 0, got -1"):
        skill_training.TrainingOptions(patience=-1)
    with pytest.raises(ValueError, match="does not exist"):
        _training(tmp_path / "new", dataset="missing")
    assert not (tmp_path / "new").exists()


def test_train_reads_a_data_set_of_ours(tmp_path):
    dataset_files.write(tmp_path / "data", dataset_files.examples(4))
    small = BcConfig(hidden_sizes=(8,), window=5, batch_size=4)
    options = skill_training.TrainingOptions(steps=2, show_progress=False)
    where = str(tmp_path / "data"), str(tmp_path / "bc")
    summary = skill_training.train("bc", *where, config=small, options=options)
    assert (summary["model"], summary["steps"]) == ("bc", 2)
    clone = registry.load_bundle(tmp_path / "bc" / "skills")
    assert clone.config == small
    names = clone.description["observation_names"]
    assert names == {k: list(v) for k, v in observations.GROUPS.items()}
    with pytest.raises(ValueError, match="unknown model 'gpt'; valid: helms, npmp"):
        skill_training.train("gpt", *where)
