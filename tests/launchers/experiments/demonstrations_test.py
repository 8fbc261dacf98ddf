"""Demonstrations read from a data set, and data sets that are refused."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from agents.mpo.config import ActionMPOConfig
from datasets.rlds import files
from environments import EnvironmentConfig, observations
from launchers.experiments import config as experiment_config
from launchers.experiments import demonstrations
from tests.helpers import dataset_files

_RUN = EnvironmentConfig.paper(reward="dense")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three episodes of a data set, whose manifest says what they are of."""
    directory = tmp_path_factory.mktemp("demonstrations") / "data"
    examples = dataset_files.examples(3)
    dataset_files.write(directory, examples)
    path = directory / files.MANIFEST
    manifest = json.loads(path.read_text())
    manifest["settings"] = _RUN.to_dict()
    path.write_text(json.dumps(manifest))
    return directory, examples


def test_episodes_are_those_of_the_data_set(data):
    """With what was executed, which here is not what the expert intended."""
    directory, examples = data
    episodes = demonstrations.load(str(directory), _RUN)
    assert len(episodes) == len(examples)
    for episode, example in zip(episodes, examples, strict=True):
        steps = example["steps"]
        grouped = observations.group(steps["observation"])
        for key in ("proprio", "objects"):
            np.testing.assert_array_equal(episode.observation[key], grouped[key])
        for key in ("action", "reward", "discount"):
            np.testing.assert_array_equal(getattr(episode, key), steps[key][:-1])


@pytest.mark.parametrize("step", [3, -1])  # of the last, only the observation counts
def test_a_reward_that_is_not_finite_is_named_where_it_counts(tmp_path, step):
    examples = dataset_files.examples(3)
    examples[1]["steps"]["reward"][step] = np.nan
    directory = dataset_files.write(tmp_path / "data", examples)
    path = directory / files.MANIFEST
    manifest = json.loads(path.read_text()) | {"settings": _RUN.to_dict()}
    path.write_text(json.dumps(manifest))
    if step == -1:
        assert len(demonstrations.load(str(directory), _RUN)) == 3
        return
    with pytest.raises(ValueError, match="00000-of-00002: episode 1: reward not fin"):
        demonstrations.load(str(directory), _RUN)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"task": "pyramid"}, "task 'stack_red_blue', the run 'pyramid'"),
        ({"reward": "sparse"}, "reward 'dense', the run 'sparse'"),
        ({"object_set": "random"}, "object_set 4, the run 'random'"),
    ],
)
def test_data_of_something_else(run, message, data):
    with pytest.raises(ValueError, match=message):
        demonstrations.load(str(data[0]), dataclasses.replace(_RUN, **run))


def test_data_that_does_not_say(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        demonstrations.load(str(tmp_path / "none"), _RUN)
    plain = dataset_files.write_plain(tmp_path / "plain", dataset_files.examples(2))
    with pytest.raises(ValueError, match=r"no manifest.json that says its task"):
        demonstrations.load(str(plain), _RUN)
    settings = _RUN.to_dict()
    (plain / files.MANIFEST).write_text(json.dumps({"settings": settings}))
    with pytest.raises(ValueError, match="lacks rewards or discounts"):
        demonstrations.load(str(plain), _RUN)


def test_what_does_not_go_together(tmp_path):
    run: dict[str, Any] = {"skills": None, "workdir": str(tmp_path), "agent": "mpo"}
    with pytest.raises(ValueError, match="a demonstration_share above 0"):
        experiment_config.RunConfig(**run, demonstrations="data")
    config = ActionMPOConfig(demonstration_share=0.5)
    with pytest.raises(ValueError, match="demonstrations have no images"):
        experiment_config.RunConfig(
            **run,
            agent_config=config,
            demonstrations="data",
            environment=EnvironmentConfig(observations="vision"),
        )
    with pytest.raises(ValueError, match="less than one sequence of a batch of 8"):
        ActionMPOConfig(batch_size=8, demonstration_share=0.1)
    with pytest.raises(ValueError, match=r"demonstration_share must be in \[0, 1\)"):
        ActionMPOConfig(demonstration_share=1.0)
