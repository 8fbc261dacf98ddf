"""Round trips through other libraries' layouts keep every number."""

import json

import numpy as np
import pytest

from datasets import exchange
from datasets.exchange import trajectory
from datasets.rlds import reader
from tests.helpers import dataset_files, inspections

PATHS = {"robomimic": "data.hdf5", "lerobot": "lerobot"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "data"
    examples = dataset_files.examples(3, camera=True)
    dataset_files.shorten(examples[1], 7)
    examples[1]["steps"]["is_last"][-1] = True
    return dataset_files.write(directory, examples)


@pytest.fixture(scope="module", params=exchange.FORMATS)
def exported(request, data, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param) / PATHS[request.param]
    assert exchange.module(request.param).export(data, out, progress=False) == 3
    return request.param, out


@pytest.fixture(scope="module")
def imported(exported, tmp_path_factory):
    form, path = exported
    out = tmp_path_factory.mktemp("back") / "data"
    exchange.module(form).import_data(path, out, progress=False)
    return out


def read(directory):
    return list(trajectory.read(trajectory.open_dataset(directory)))


def assert_equal(one, other):
    """Two episodes, with the types of all that they hold."""
    for mine, theirs in ((one.steps, other.steps), (one.metadata, other.metadata)):
        assert mine.keys() == theirs.keys()
        for name, values in mine.items():
            assert np.asarray(values).dtype == np.asarray(theirs[name]).dtype, name
            np.testing.assert_array_equal(values, theirs[name], err_msg=name)


def test_a_round_trip_keeps_every_number_and_type(data, imported):
    for one, other in zip(read(data), read(imported), strict=True):
        assert_equal(one, other)
    theirs = reader.Records(imported)
    assert theirs.statistics == reader.Records(data).statistics


def test_inspection_knows_what_was_imported(exported, imported):
    found, _ = inspections.inspect(imported)
    assert list(map(str, found.problems)) == []
    assert found.manifest["format"] == exported[0]
    assert found.manifest["manifest"]["dataset"] == "helms_stacking"


def test_an_existing_path_is_refused(data, exported):
    form, path = exported
    for function in ("export", "import_data"):
        with pytest.raises(ValueError, match="exists; give another"):
            getattr(exchange.module(form), function)(data, path, progress=False)


@pytest.mark.parametrize("form", exchange.FORMATS)
def test_what_is_no_such_data_set_is_refused_in_one_line(form, data, tmp_path):
    (tmp_path / "text").write_text("none")
    for path in (data, tmp_path / "text", tmp_path / "missing"):
        with pytest.raises(ValueError, match=str(path)) as error:
            exchange.module(form).import_data(path, tmp_path / "out", progress=False)
        assert "\n" not in str(error.value)
        assert not (tmp_path / "out").exists()


def test_images_as_videos_of_lerobot_keep_every_pixel(data, tmp_path):
    from datasets.exchange import lerobot

    lerobot.export(data, tmp_path / "lerobot", progress=False, video=True)
    assert len(list(tmp_path.glob("lerobot/videos/*/chunk-000/file-00?.mp4"))) == 3
    lerobot.import_data(tmp_path / "lerobot", tmp_path / "data", progress=False)
    for one, other in zip(read(data), read(tmp_path / "data"), strict=True):
        assert_equal(one, other)
    next(tmp_path.glob("lerobot/videos/*/*/file-001.mp4")).unlink()
    with pytest.raises(ValueError, match="file-001.mp4 is missing"):
        lerobot.import_data(tmp_path / "lerobot", tmp_path / "again", progress=False)


def test_names_in_a_file_cannot_leave_the_directory(data, tmp_path):
    import h5py

    from datasets.exchange import robomimic

    path = tmp_path / "data.hdf5"
    robomimic.export(data, path, progress=False)
    with h5py.File(path, "a") as file:
        kept = json.loads(file["rlds"][()]) | {"name": "../../elsewhere"}
        del file["rlds"]
        file["rlds"] = json.dumps(kept)
    with pytest.raises(ValueError, match="valid: letters, digits"):
        robomimic.import_data(path, tmp_path / "out", progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["data.hdf5"]


def test_a_lerobot_data_set_that_lacks_frames_is_refused(data, tmp_path):
    import pyarrow.parquet as pq

    from datasets.exchange import lerobot

    root = tmp_path / "lerobot"
    lerobot.export(data, root, progress=False)
    (path,) = root.glob("data/*/*.parquet")
    pq.write_table(pq.read_table(path).slice(0, 20), path)
    with pytest.raises(ValueError, match="has 2 frames of episode 2, of 12"):
        lerobot.import_data(root, tmp_path / "out", progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["lerobot"]


def _foreign_robomimic(path):
    import h5py

    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1})
        for i in (0, 1, 10, 2):
            demo = data.create_group(f"demo_{i}")
            demo.attrs["model_file"] = "<mujoco/>"
            count = 3 + i
            states = rng.normal(size=(count + 1, 4))
            demo["obs/eef_pos"], demo["next_obs/eef_pos"] = states[:-1], states[1:]
            demo["actions"] = rng.uniform(-1, 1, (count, 7))
            demo["states"] = rng.normal(size=(count, 9))
            demo["rewards"] = np.arange(count, dtype=np.float64)
            demo["dones"] = (np.arange(count) == count - 1).astype(np.int64)
    return path


def test_a_foreign_robomimic_file_of_doubles(tmp_path):
    import h5py

    from datasets.exchange import robomimic

    path = _foreign_robomimic(tmp_path / "low_dim.hdf5")
    robomimic.import_data(path, tmp_path / "data", progress=False)
    episodes = read(tmp_path / "data")
    assert [len(e.steps["action"]) for e in episodes] == [4, 5, 6, 14]
    source = reader.Records(tmp_path / "data")
    assert reader.array_shape(source.step_features["action"]) == (7,)
    robomimic.export(tmp_path / "data", tmp_path / "again.hdf5", progress=False)
    with h5py.File(path) as one, h5py.File(tmp_path / "again.hdf5") as other:
        for number, demo in enumerate(("demo_0", "demo_1", "demo_2", "demo_10")):
            for name in ("actions", "states", "rewards", "dones", "obs/eef_pos"):
                mine = one[f"data/{demo}/{name}"]
                theirs = other[f"data/demo_{number}/{name}"]
                assert mine.dtype == theirs.dtype
                np.testing.assert_array_equal(mine[...], theirs[...])
            end = other[f"data/demo_{number}/next_obs/eef_pos"][-1]
            np.testing.assert_array_equal(end, one[f"data/{demo}/next_obs/eef_pos"][-1])


def test_links_of_a_robomimic_file_are_not_followed(tmp_path):
    import h5py

    from datasets.exchange import robomimic

    path = _foreign_robomimic(tmp_path / "low_dim.hdf5")
    with h5py.File(path, "a") as file:
        del file["data/demo_1/actions"]
        file["data/demo_1/actions"] = h5py.ExternalLink("other.hdf5", "/actions")
    with pytest.raises(ValueError, match="actions"):
        robomimic.import_data(path, tmp_path / "data", progress=False)
    assert not (tmp_path / "data").exists()
