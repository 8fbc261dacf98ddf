"""Features that this project does not write: read, or refused in one line."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets import loader
from environments import observations
from launchers.inspection import report
from tests.helpers import dataset_files, inspections

f = tfds.features
LENGTH = dataset_files.STEPS + 1
NUMBERS = np.zeros((LENGTH, 4), np.float32)
WORD = [b"stack"] * LENGTH
RAGGED = [np.arange(i % 3, dtype=np.int32) for i in range(LENGTH)]
ENCODED = {"shape": (5,), "dtype": np.float32, "encoding": "zlib"}


def _inspect(directory):
    found, source = inspections.inspect(directory)
    assert list(report.lines(found, source))
    return list(map(str, found.problems))


def _ours():
    return {
        name: f.Tensor(shape=observations.shape(name), dtype=observations.dtype(name))
        for name in (*observations.FRAME_SIZES, observations.PREVIOUS_ACTION)
    }


def _deep(flat):
    """Makes dictionaries of names with slashes, as robots' logs have them."""
    nested: dict = {}
    for name, value in flat.items():
        *path, last = name.split("/")
        inside = nested
        for part in path:
            inside = inside.setdefault(part, {})
        inside[last] = value
    return nested


def _write(directory, observation=None, more=None, values=None, **arguments):
    episodes = dataset_files.examples(2)
    for example in episodes:
        example["steps"]["observation"] |= (values or {}).get("observation", {})
        others = {k: v for k, v in (values or {}).items() if k != "observation"}
        example["steps"] |= others
    features = dict(more or {})
    if observation is not None:
        features["observation"] = f.FeaturesDict(_ours() | observation)
    return dataset_files.write_plain(directory, episodes, features, **arguments)


def test_nested_names_are_joined(tmp_path):
    plain = loader.load(_write(tmp_path / "plain"))
    episodes = dataset_files.examples(2)
    for example in episodes:
        steps = example["steps"]
        steps["observation"] = _deep(steps["observation"])
    features = {"observation": f.FeaturesDict(_deep(_ours()))}
    data = dataset_files.write_plain(tmp_path / "deep", episodes, features)
    np.testing.assert_array_equal(loader.load(data).proprio, plain.proprio)
    assert _inspect(data) == []


@pytest.mark.parametrize(
    ("feature", "values"),
    [
        (f.FeaturesDict({"a": {"b": f.Tensor(shape=(4,), dtype=np.float32)}}), None),
        (f.Text(), WORD),
        (f.Tensor(shape=(2,), dtype=np.object_), np.array([[b"a", b"b"]] * LENGTH)),
        (f.Sequence(np.int32), RAGGED),
        (f.Sequence({"id": np.int32}), {"id": RAGGED}),
        (f.Image(shape=(None, None, 3)), WORD),
        (f.Tensor(**ENCODED), WORD),
    ],
    ids=["dictionary", "text", "texts", "ragged", "ragged_dictionary", "image", "zlib"],
)
def test_other_features_are_no_obstacle(tmp_path, feature, values):
    values = {"a": {"b": NUMBERS}} if values is None else values
    data = _write(
        tmp_path / "data",
        {"more": feature},
        {"info": feature},
        {"observation": {"more": values}, "info": values},
    )
    assert _inspect(data) == []
    assert loader.load(data).num_episodes == 2


ARM = f.FeaturesDict({"arm": f.Tensor(shape=(4,), dtype=np.float32), "hand": np.int32})
PARTS = {"arm": NUMBERS, "hand": np.zeros(LENGTH, np.int32)}


@pytest.mark.parametrize(
    ("name", "feature", "values", "message"),
    [
        ("action", ARM, PARTS, "action is a dictionary of arm, hand; valid: one array"),
        ("expert_action", ARM, PARTS, "expert_action is a dictionary of arm, hand"),
        ("action", f.Tensor(**ENCODED), WORD, "action is an encoded Tensor; valid"),
        ("action", f.Text(), WORD, "action is a Text; valid: one array of numbers"),
        ("action", f.Sequence(np.int32), RAGGED, r"action is a Sequence of shape \["),
    ],
)
def test_actions_of_another_kind_are_refused(tmp_path, name, feature, values, message):
    data = _write(tmp_path / "data", more={name: feature}, values={name: values})
    for read in (_inspect, loader.load):
        with pytest.raises(ValueError, match=f"features.json says that {message}"):
            read(data)


def test_rewards_and_flags_of_another_kind_hinder_only_who_needs_them(tmp_path):
    flag = f.Tensor(shape=(1,), dtype=np.bool_)
    more = {"reward": ARM, "is_first": flag, "discount": f.Text()}
    values = {"reward": PARTS, "discount": WORD}
    values |= {"is_first": np.zeros((LENGTH, 1), bool)}
    data = _write(tmp_path / "data", more=more, values=values)
    with pytest.raises(ValueError, match="reward is a dictionary of arm, hand"):
        _inspect(data)
    found = loader.load(data)
    assert found.reward is None and found.discount is None


@pytest.mark.parametrize("name", ["wrist/force", "gripper/grasp"])
def test_an_encoded_observation_is_refused(tmp_path, name):
    shape, dtype = observations.shape(name), observations.dtype(name)
    encoded = {name: f.Tensor(shape=shape, dtype=dtype, encoding="zlib")}
    data = _write(tmp_path / "data", encoded, None, {"observation": {name: WORD}})
    message = f"{name} is an encoded Tensor; valid: numbers of shape"
    with pytest.raises(ValueError, match=f"features.json says: {message}"):
        loader.load(data)
    assert _inspect(data)[0].startswith(f"features.json: {message}")


def test_steps_that_are_a_sequence_are_refused(tmp_path):
    data = _write(tmp_path / "data", container=f.Sequence)
    message = "features.json is not RLDS: steps is a Sequence .*; valid: a Dataset$"
    for read in (_inspect, loader.load):
        with pytest.raises(ValueError, match=message):
            read(data)
