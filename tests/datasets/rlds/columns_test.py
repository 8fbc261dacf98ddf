"""Data sets from elsewhere, read by the names of their features."""

import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets import loader
from datasets.rlds import reader
from datasets.rlds.columns import OWN, Columns, bounds_of, scaled
from tests.helpers import dataset_files, outside_datasets

f = tfds.features
OPEN_X = Columns.given(
    *([key.partition("=")[2].split(",") for key in outside_datasets.OPEN_X_KEYS])
)


@pytest.fixture(name="open_x", scope="module")
def _open_x(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "open_x"
    return outside_datasets.write(directory, outside_datasets.OPEN_X)


def _raw(directory):
    steps = []
    source = reader.Records(directory, required=("observation",))
    for episode in source.episodes(lambda problem: pytest.fail(str(problem))):
        steps.append({**episode.observation, "action": episode.steps["action"]})
    return {key: np.concatenate([s[key] for s in steps]) for key in steps[0]}


def test_vectors_are_flattened_and_concatenated_in_the_order_of_the_keys(open_x):
    data, raw = loader.load(open_x, OPEN_X), _raw(open_x)
    expected = [raw["state/joints"], raw["state/gripper"][:, None]]
    np.testing.assert_array_equal(data.proprio, np.concatenate(expected, axis=1))
    cube = raw["cube"].reshape(len(raw["cube"]), 6).astype(np.float32)
    np.testing.assert_array_equal(data.objects, cube)
    assert data.columns.proprio == ("state/joints", "state/gripper")
    turned = loader.load(open_x, Columns(OPEN_X.proprio[::-1], OPEN_X.objects))
    np.testing.assert_array_equal(turned.proprio[:, 0], raw["state/gripper"])


def test_actions_are_scaled_by_the_least_and_greatest_of_the_data(open_x):
    data, raw = loader.load(open_x, OPEN_X), _raw(open_x)
    ends = np.cumsum(data.lengths) - 1  # whose actions mean nothing
    acted = np.delete(raw["action"], ends, axis=0)
    assert data.columns.bounds is not None
    low, high = data.columns.bounds
    np.testing.assert_allclose(low, acted.min(axis=0))
    np.testing.assert_allclose(high, acted.max(axis=0))
    own = np.delete(data.action.numpy(), ends, axis=0)
    assert np.abs(own).max() == 1.0 and not data.action.numpy()[ends].any()
    np.testing.assert_allclose(
        np.asarray(low) + (own + 1) / 2 * np.subtract(high, low), acted, atol=1e-5
    )


def test_bounds_in_the_features_come_first_and_hold(tmp_path):
    document = f.Documentation(value_range=json.dumps([[-3.0] * 7, [5.0] * 7]))
    action = f.Tensor(shape=(7,), dtype=np.float32, doc=document)
    layout = {**outside_datasets.OPEN_X, "action": action}
    data = outside_datasets.write(tmp_path / "data", layout)
    bounds = loader.load(data, OPEN_X).columns.bounds
    assert bounds == ((-3.0,) * 7, (5.0,) * 7)
    beyond = outside_datasets.write(tmp_path / "beyond", layout, action_high=8.0)
    with pytest.raises(ValueError, match=r"an action of -?\d.* is outside \[-3, 5\]"):
        loader.load(beyond, OPEN_X)


def test_windows_and_statistics_have_the_columns_sizes(open_x):
    source = loader.Source(OPEN_X)
    (batch,) = source.windows(open_x, batch_size=4, window=6, look_ahead=2).take(1)
    shapes = {key: tuple(value.shape) for key, value in batch.items()}
    assert shapes["proprio"] == (4, 8, 8) and shapes["objects"] == (4, 8, 6)
    assert shapes["action"] == (4, 6, 7)
    assert [len(x) for x in source.statistics(open_x)["objects"]] == [6, 6]
    others = loader.Source(Columns(OPEN_X.objects, OPEN_X.proprio))
    assert source.manifest(open_x) != others.manifest(open_x)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (OWN, "none of this project's observations: .*--proprio.*valid: cube, state/"),
        (Columns(("image",), ("cube",)), "no 'image'; valid: .*image is no vector"),
        (Columns(("cube",), ("kube",)), "--objects: there is no 'kube'; valid: cube, "),
        (Columns(("cube",), ("cube",), ("act",)), "--action: there is no 'act'; valid"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(open_x, columns, message):
    with pytest.raises(ValueError, match=f"features.json .*{message}"):
        loader.load(open_x, columns)


@pytest.mark.parametrize("columns", [OWN, OPEN_X])
def test_images_alone_are_refused_with_what_is_needed(tmp_path, columns):
    data = outside_datasets.write(tmp_path / "data", outside_datasets.IMAGES)
    with pytest.raises(ValueError, match="only camera: .* needs such as joint pos"):
        loader.load(data, columns)


def test_a_key_of_two_meanings_is_refused(tmp_path):
    inner = f.FeaturesDict({"a": f.Scalar(np.float32)})
    observation = f.FeaturesDict({"a": f.Scalar(np.float32), "observation": inner})
    layout = {**outside_datasets.ROBOMIMIC, "observation": observation}
    data = outside_datasets.write(tmp_path / "data", layout)
    with pytest.raises(ValueError, match="may be a or observation/observation/a"):
        loader.load(data, Columns(("observation/a",), ("a",)))
    deep = Columns(("observation/observation/a",), ("a",))
    assert loader.load(data, deep).columns.proprio == ("observation/a",)


def test_a_single_observation_and_parts_of_an_action(tmp_path):
    parts = f.FeaturesDict({k: f.Scalar(np.float32) for k in ("arm", "hand")})
    layout = {"observation": f.Tensor(shape=(3,), dtype=np.float32), "action": parts}
    data = outside_datasets.write(tmp_path / "data", layout)
    columns = Columns(("observation",), ("observation",), ("action/hand", "action/arm"))
    loaded = loader.load(data, columns)
    assert loaded.proprio.shape[1] == 3 and loaded.action.shape[1] == 2


def test_a_constant_action_maps_back_to_itself():
    bounds = bounds_of(np.array([0.5, -1.0]), np.array([0.5, 3.0]))
    assert scaled(np.array([0.5, 3.0]), bounds).tolist() == [0.0, 1.0]


def test_some_keys_without_the_others_are_refused():
    assert Columns.given([], []) is OWN
    with pytest.raises(ValueError, match="--objects is missing"):
        Columns.given(["a"], [])


def test_own_data_sets_are_read_as_before(tmp_path):
    data = dataset_files.write(tmp_path / "data", dataset_files.examples(2))
    loaded = loader.load(data)
    assert loaded.columns.is_own and loaded.columns.action_facts() is None
    assert loaded.columns.action == ("expert_action",)
