"""Episodes with phases out of small data sets on disk."""

import json

import numpy as np
import pytest

from environments import observations
from launchers.analysis import held_out_episodes
from tests.helpers import dataset_files


@pytest.fixture(name="data", scope="module")
def _data(tmp_path_factory):
    episodes = dataset_files.examples(30)
    # An expert that names its phases in another order; one step without any.
    metadata = episodes[28]["episode_metadata"]
    metadata["expert_phases"] = json.dumps(["late", "early"])
    episodes[28]["steps"]["expert_phase"][0] = -1
    directory = tmp_path_factory.mktemp("labelled") / "data"
    return dataset_files.write(directory, episodes), episodes


def test_the_last_tenth_is_read_with_its_phases_by_name(data):
    directory, episodes = data
    found = held_out_episodes.held_out(directory, most=10)
    assert [episode.index for episode in found.episodes] == [27, 28, 29]
    assert found.phase_names == ("early", "late")
    steps = dataset_files.STEPS
    plain = [0] * 9 + [1] * (steps - 9)
    np.testing.assert_array_equal(found.episodes[0].phases, plain)
    swapped = [-1] + [1] * 8 + [0] * (steps - 9)
    np.testing.assert_array_equal(found.episodes[1].phases, swapped)
    first = found.episodes[0]
    grouped = observations.group(episodes[27]["steps"]["observation"])
    np.testing.assert_allclose(first.proprio, grouped["proprio"])
    np.testing.assert_allclose(first.objects, grouped["objects"])
    assert (first.task, first.success) == ("stack_red_blue", False)
    assert first.num_steps == steps


def test_fewer_are_spread_over_the_held_out_part(data):
    directory, _ = data
    found = held_out_episodes.held_out(directory, most=2)
    assert [episode.index for episode in found.episodes] == [27, 29]


def test_a_window_repeats_the_last_frame(data):
    directory, _ = data
    episode = held_out_episodes.held_out(directory, most=1).episodes[0]
    proprio, objects = episode.window(look_ahead=5)
    steps = episode.num_steps
    assert proprio.shape[:2] == (1, steps + 5) and objects.shape[:2] == (1, steps + 5)
    np.testing.assert_array_equal(proprio[0, : steps + 1], episode.proprio)
    np.testing.assert_array_equal(
        proprio[0, steps + 1 :], np.tile(episode.proprio[-1], (4, 1))
    )
    assert episode.observation()["objects"].shape == episode.objects[:-1].shape


def test_a_data_set_without_labels_has_no_phases(tmp_path):
    directory = dataset_files.write_plain(tmp_path / "plain", dataset_files.examples(4))
    found = held_out_episodes.held_out(directory, most=10)
    assert found.phase_names == ()
    assert (found.episodes[0].phases == -1).all()
    assert found.episodes[0].success is None


def test_invalid_episodes_are_left_out(tmp_path):
    episodes = dataset_files.examples(2)
    episodes[1]["episode_metadata"]["invalid"] = True
    directory = dataset_files.write(tmp_path / "data", episodes)
    with pytest.raises(ValueError, match="no valid held-out episode"):
        held_out_episodes.held_out(directory, most=10)


def test_what_is_no_data_set_is_named(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        held_out_episodes.held_out(tmp_path / "missing", most=1)
    with pytest.raises(ValueError, match="is not a data set"):
        held_out_episodes.held_out(tmp_path, most=1)


def test_a_damaged_file_is_named(tmp_path):
    directory = dataset_files.write(tmp_path / "data", dataset_files.examples(4))
    last = sorted(directory.glob("*.tfrecord-*"))[-1]
    last.write_bytes(last.read_bytes()[:-10])
    with pytest.raises(ValueError, match="is damaged"):
        held_out_episodes.held_out(directory, most=1)
