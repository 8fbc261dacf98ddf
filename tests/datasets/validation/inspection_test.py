"""Every kind of damage is found, with file and episode."""

import copy as copy_module
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from datasets.rlds import files, reader, schema
from datasets.validation import checks
from environments import observations
from tests.helpers import dataset_files, inspections

EPISODES = 6  # In three files.


def _name(shard):
    return schema.shard_name(shard, 3)


def _inspect(directory):
    return inspections.inspect(directory)[0]


def _lines(directory):
    return [str(problem) for problem in _inspect(directory).problems]


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    directory = tmp_path_factory.mktemp("inspection") / "clean"
    return dataset_files.write(directory, dataset_files.examples(EPISODES))


@pytest.fixture
def copy(clean, tmp_path):
    return shutil.copytree(clean, tmp_path / "copy")


def test_a_clean_data_set_has_no_problem_and_is_counted(clean):
    found = _inspect(clean)
    assert found.problems == []
    examples = dataset_files.examples(EPISODES)
    for row, example in zip(found.rows, examples, strict=True):
        metadata = example["episode_metadata"]
        assert row.place.episode == metadata["episode_index"]
        assert row.place.file == _name(row.place.episode // 2)
        assert row.steps == 12 and not row.invalid
        assert (row.task, row.object_set) == ("stack_red_blue", "4")
        assert row.success == metadata["success"]
        assert row.action_delay == metadata["action_delay"]
        assert row.episode_return == pytest.approx(example["steps"]["reward"].sum())
    action = np.concatenate([e["steps"]["action"][:-1] for e in examples])
    np.testing.assert_allclose(
        found.statistics.ranges()["action"].mean, action.mean(0), atol=1e-7
    )
    for i in range(5):
        counts = np.histogram(action[:, i], np.linspace(-1, 1, 41))[0]
        np.testing.assert_array_equal(found.action_counts[i], counts)
    for name in ("wrist/force", "wrist/angle", "action/environment"):
        values = np.concatenate([e["steps"]["observation"][name] for e in examples])
        wanted = values.reshape(EPISODES * 13, -1).max(0)
        moments = found.statistics.ranges()[f"observation/{name}"]
        np.testing.assert_array_equal(moments.max, wanted)
    assert found.phase_steps == {"early": 9 * EPISODES, "late": 3 * EPISODES}
    assert found.phase_episodes == {"early": EPISODES, "late": EPISODES}
    mass = found.randomization["mass"]
    assert mass.count[0] == 2 * EPISODES and mass.mean[0] == pytest.approx(1.0)
    assert found.drawn_names == {"red": {"s0": EPISODES}}
    assert found.num_bytes == sum(f.stat().st_size for f in clean.glob("*tfrecord*"))


def _set(*path):
    """Returns what changes one number: the path, then its new value."""
    *names, index, value = path

    def change(example):
        array = example
        for name in names:
            array = array[name]
        array[index] = value

    return change


def _frame(name, step, where, value):
    """Returns what changes numbers of one frame, wherever that is stacked."""

    def change(example):
        frame = example["steps"]["observation"][name][step, 0].copy()
        frame[where] = value
        dataset_files.set_frame(example, name, step, frame)

    return change


def _terminal(example):
    example["steps"]["is_terminal"][-1] = True


def _metadata(name, value):
    return lambda example: example["episode_metadata"].update({name: value})


def _cut(example):
    example["steps"]["action"] = example["steps"]["action"][:-2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _set("steps", "observation", "wrist/force", (4, 2, 1), np.nan),
            "wrist/force is not finite at step 4",
        ),
        (_set("steps", "reward", 2, np.inf), "reward is not finite at step 2"),
        (_set("steps", "action", (5, 3), np.nan), "action is not finite at step 5"),
        (
            _set("steps", "expert_action", (5, 3), 2.0),
            "expert_action[3] is 2, outside [-1, 1], at step 5",
        ),
        (
            _set("steps", "action", (slice(5, 8), 3), -1.5),
            "action[3] is -1.5, outside [-1, 1], at step 5 and 2 more",
        ),
        (_set("steps", "reward", 0, 1.25), "reward is 1.25, outside [0, 1], at step 0"),
        (
            _set("steps", "discount", 1, -0.5),
            "discount is -0.5, outside [0, 1], at step 1",
        ),
        (
            _set("steps", "discount", 4, 0.0),
            "discount is 0 at step 4, before the last action",
        ),
        (
            _set("steps", "discount", 11, 0.0),
            "is_terminal is False at the end, but the last action's discount is 0",
        ),
        (
            _terminal,
            "is_terminal is True at the end, but the last action's discount is 1",
        ),
        (
            _frame("sawyer/joints/angle", 6, 1, 2.5),
            "sawyer/joints/angle[1] is 2.5, outside [-3.829, 2.294], at step 6",
        ),
        (
            _frame("sawyer/tcp/pose", 6, 0, 1.2),
            "sawyer/tcp/pose (position)[0] is 1.2, outside [0.1, 1.1], at step 6",
        ),
        (
            _frame("sawyer/tcp/pose", 3, slice(3, 7), 0.0),
            "sawyer/tcp/pose (quaternion's norm) is 0, outside [0.99, 1.01], at step 3",
        ),
        (
            lambda e: dataset_files.set_frame(e, "gripper/joints/angle", 5, 256),
            "gripper/joints/angle is 256, outside [0, 255], at step 5",
        ),
        (
            lambda e: dataset_files.set_frame(e, "gripper/grasp", 5, 0),
            "gripper/grasp is 0 at step 5; valid: 1, 2, 3",
        ),
        (
            _frame("rgb30_blue/to_pinch", 5, 2, 0.9),
            "rgb30_blue/to_pinch is not rgb30_blue/abs_pose minus sawyer/pinch/pose "
            "at step 5",
        ),
        (
            _set("steps", "observation", "wrist/torque", (7, 2, 0), 9.0),
            "wrist/torque at step 7 is not its newest frame and those of the steps "
            "before",
        ),
        (_set("steps", "is_first", 3, True), "is_first is True at step 3 of 13"),
        (_set("steps", "is_first", 0, False), "is_first is False at step 0 of 13"),
        (_set("steps", "is_last", -1, False), "is_last is False at step 12 of 13"),
        (
            _set("steps", "is_terminal", 6, True),
            "is_terminal is True at step 6, before the last",
        ),
        (
            _set("steps", "expert_phase", 6, 7),
            "expert_phase 7, but expert_phases has 2",
        ),
        (_cut, "action has 11 steps, but is_first has 13"),
        (_metadata("seed", 1000), "doubled: has the same seed 1000 as"),
        (_metadata("randomization", "{"), "randomization is no JSON object"),
        (_metadata("expert_phases", "{}"), "expert_phases is no JSON list"),
    ],
)
def test_damage_to_an_episode_is_found_with_its_place(tmp_path, change, message):
    episodes = dataset_files.examples(EPISODES)
    change(episodes[3])
    lines = _lines(dataset_files.write(tmp_path / "data", episodes))
    assert lines and lines[0].startswith(f"{_name(1)}: episode 3 (record 1): {message}")
    assert all("episode 3 (record 1)" in line for line in lines)
    assert len(lines) == 1 or "expert_phases is" in message


def test_a_doubled_episode_is_found_though_its_metadata_differ(tmp_path):
    episodes = dataset_files.examples(EPISODES)
    episodes[5]["steps"] = episodes[0]["steps"]
    assert _lines(dataset_files.write(tmp_path / "data", episodes)) == [
        f"{_name(2)}: episode 5 (record 1): doubled: has the same steps as "
        f"{_name(0)}: episode 0 (record 0)"
    ]


def test_data_sets_with_no_metadata_are_read(tmp_path):
    episodes = dataset_files.examples(4)
    episodes[3]["steps"]["action"][0] = 3.0
    found = _inspect(dataset_files.write_plain(tmp_path / "data", episodes))
    (problem,) = map(str, found.problems)
    name = schema.shard_name(1, 2)
    assert problem.startswith(f"{name}: episode 3 (record 1): action[0] is 3, outside")
    assert {(row.task, row.object_set) for row in found.rows} == {("unknown",) * 2}
    assert {row.success for row in found.rows} == {None}


def test_one_seed_may_serve_several_tasks(tmp_path):
    episodes = dataset_files.examples(2)
    episodes[1]["episode_metadata"] |= {"seed": 1000, "task": "stack_blue_red"}
    assert _lines(dataset_files.write(tmp_path / "data", episodes)) == []


@pytest.mark.parametrize("length", [0, 1])
def test_an_episode_without_a_control_step_is_found(tmp_path, length):
    episodes = dataset_files.examples(4)
    for episode in episodes[1:3]:
        dataset_files.shorten(episode, length)
        episode["steps"]["is_last"][:] = True
        episode["steps"]["expert_phase"][:] = -1
    data = dataset_files.write(tmp_path / "data", episodes)
    manifest = json.loads((data / files.MANIFEST).read_text()) | {"control_steps": 24}
    files.write_json(data / files.MANIFEST, manifest)
    places = (
        f"{schema.shard_name(shard, 2)}: episode {shard + 1} (record {1 - shard})"
        for shard in range(2)
    )
    problem = f"has {length} steps; valid: from 2"
    assert _lines(data) == [f"{place}: {problem}" for place in places]


@pytest.mark.parametrize("value", [np.nan, 9.0])
def test_what_the_last_step_has_besides_its_observation_is_ignored(tmp_path, value):
    episodes = dataset_files.examples(2)
    for name in ("action", "expert_action", "reward", "discount"):
        episodes[1]["steps"][name][-1] = value
    data = dataset_files.write(tmp_path / "data", episodes)
    assert _lines(data) == []


def test_episodes_that_differ_only_where_nothing_is_meant_are_doubled(tmp_path):
    episodes = dataset_files.examples(2)
    episodes[1]["steps"] = copy_module.deepcopy(episodes[0]["steps"])
    episodes[1]["steps"]["action"][-1] = 0.5
    (line,) = _lines(dataset_files.write(tmp_path / "data", episodes))
    assert "doubled: has the same steps as" in line


def test_a_terminal_step_needs_no_discount(tmp_path):
    episodes = dataset_files.examples(2)
    _terminal(episodes[1])
    data = dataset_files.write_plain(tmp_path / "data", episodes)
    assert _lines(data) == []


def test_records_that_do_not_fit_the_features_are_found(tmp_path):
    episodes = dataset_files.examples(EPISODES)
    episodes[2] = b"nonsense"
    example = tf.train.Example()
    example.features.feature["steps/action"].float_list.value.extend([0.0] * 7)
    episodes[4] = example.SerializeToString()
    found = _inspect(dataset_files.write(tmp_path / "data", episodes))
    first, second = map(str, found.problems)
    fits = "does not fit features.json: "
    assert first.startswith(f"{_name(1)}: episode 2 (record 0): {fits}")
    assert second.startswith(f"{_name(2)}: episode 4 (record 0): {fits}")
    assert "\n" not in first + second
    assert [row.place.episode for row in found.rows] == [0, 1, 3, 5]


def test_a_flipped_byte_is_found_and_other_files_are_read(copy):
    path = copy / _name(1)
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1  # In the first of two records.
    path.write_bytes(content)
    found = _inspect(copy)
    (problem,) = map(str, found.problems)
    assert problem.startswith(f"{_name(1)}: episode 2 (record 0): corrupted record")
    assert problem.endswith("; the 1 after it are not read")
    assert [row.place.episode for row in found.rows] == [0, 1, 4, 5]


def test_a_truncated_file_is_found(copy):
    path = copy / _name(2)
    path.write_bytes(path.read_bytes()[:-100])
    (line,) = _lines(copy)
    assert line.startswith(f"{_name(2)}: episode 5 (record 1): truncated record")


@pytest.mark.parametrize("left", [0, 5])  # bytes; TFRecord readers see no error
def test_a_file_cut_between_records_is_found(copy, left):
    path = copy / _name(2)
    path.write_bytes(path.read_bytes()[:left])
    (line,) = _lines(copy)
    assert line == f"{_name(2)}: holds 0 episodes, but dataset_info.json says 2"


def test_missing_and_foreign_files_are_found(copy):
    (copy / _name(0)).unlink()
    (copy / "helms_stacking-train.tfrecord-00007-of-00009").write_bytes(b"")
    warning, problem = _inspect(copy).problems
    assert warning.warning and "00007-of-00009: is not of this data set" in str(warning)
    missing = "missing, with 2 episodes of dataset_info.json"
    assert str(problem) == f"{_name(0)}: {missing}"
    assert not problem.warning


def test_a_manifest_that_counts_otherwise_or_is_torn_is_found(copy):
    manifest = copy / "manifest.json"
    manifest.write_text(json.dumps({"episodes": 7}))
    assert _lines(copy) == ["manifest.json: counts 7 episodes, but dataset_info.json 6"]
    manifest.write_text("{")
    (line,) = _lines(copy)
    assert "is not readable" in line
    manifest.unlink()  # Other people's data sets have none.
    assert _lines(copy) == []


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("episode_successes", [1] * 6, f"its success is False, but {files.MANIFEST}"),
        ("episode_seeds", [*range(1000, 1005), 7], "its seed is 1005, but"),
        ("episode_indices", [*range(5), 9], "is not among the episodes of"),
    ],
)
def test_an_episode_that_the_manifest_does_not_know_is_found(copy, name, value, line):
    manifest = json.loads((copy / files.MANIFEST).read_text()) | {name: value}
    files.write_json(copy / files.MANIFEST, manifest)
    lines = _lines(copy)
    assert f"{_name(2)}: episode 5 (record 1): {line}" in lines[-1 - (9 in value)]
    assert (lines[-1] == "manifest.json: episode 9 is in no file") == (9 in value)


def test_sums_of_the_manifest_that_are_wrong_are_found(copy):
    manifest = json.loads((copy / files.MANIFEST).read_text())
    files.write_json(copy / files.MANIFEST, manifest | {"control_steps": 71})
    line = "manifest.json: counts 71 control steps, but the episodes have 72"
    assert _lines(copy) == [line]


def test_statistics_that_are_not_of_the_episodes_are_found_and_missed(copy):
    path = copy / files.METADATA
    metadata = json.loads(path.read_text())
    metadata["statistics"]["action"]["mean"][2] += 0.01
    del metadata["statistics"]["observation/wrist/angle"]
    path.write_text(json.dumps(metadata))
    names = ("action", "observation/wrist/angle")
    wanted = [f"metadata.json: has other statistics of {n} than the" for n in names]
    assert [line.removesuffix(" episodes") for line in _lines(copy)] == wanted
    path.unlink()
    (problem,) = _inspect(copy).problems
    assert problem.warning and "metadata.json: lacks its statistics" in str(problem)


def test_other_features_are_named():
    def feature(*shape):
        return tfds.features.Tensor(shape=shape, dtype=np.float32)

    names = (*observations.FRAME_SIZES, observations.PREVIOUS_ACTION)
    features = {name: feature(*observations.shape(name)) for name in names}
    steps = {"action": feature(5)}  # Other people's have no expert_action.
    assert list(checks.check_features(features, steps)) == []
    features["wrist/force"] = feature(3)
    del features["wrist/angle"], features["action/environment"]
    steps = {"action": feature(4), "expert_action": feature(5, 1)}
    assert list(checks.check_features(features, steps)) == [
        "action has shape [4]; valid: [5]",
        "expert_action has shape [5, 1]; valid: [5]",
        "lacks the observations wrist/angle",
        "wrist/force has shape [3]; valid: [3, 3]",
    ]


def test_extreme_wrist_readings_are_a_warning(tmp_path):
    episodes = dataset_files.examples(EPISODES)
    _frame("wrist/torque", 7, 2, -400.0)(episodes[1])
    _frame("wrist/torque", 7, 2, 15.0)(episodes[2])  # too little
    (problem,) = _inspect(dataset_files.write(tmp_path / "d", episodes)).problems
    assert problem.warning
    assert str(problem).startswith(
        f"{_name(0)}: episode 1 (record 1): wrist/torque reaches 400 at step 7, "
    )


def test_directories_that_hold_no_data_set_are_refused(clean, copy, tmp_path):
    def refused(directory, match):
        with pytest.raises(ValueError, match=match):
            reader.Records(directory)

    refused(tmp_path / "nothing", "does not exist")
    refused(clean / "features.json", "does not exist")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "is not a data set")
    refused(clean.parent, rf"is not a data set: .*; {clean} is one")
    info = copy / "dataset_info.json"
    content = json.loads(info.read_text())
    info.unlink()
    refused(copy, "is not finished")
    info.write_text("{")
    refused(copy, "cannot be read")
    lengths = content["splits"][0].pop("shardLengths")
    info.write_text(json.dumps(content))
    refused(copy, "is empty")
    content["splits"][0] |= {"name": "test", "shardLengths": lengths}
    info.write_text(json.dumps(content))
    refused(copy, "lacks the split train; it has test")
