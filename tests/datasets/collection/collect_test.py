"""Collection over real processes: content, interruption, refusal, failure."""

import dataclasses
import json
import shutil

import pytest

from datasets.collection import (
    collect,
    collection_run,
    shard_assignment,
    worker_pool,
)
from datasets.rlds import files, schema
from environments import EnvironmentConfig
from tests.helpers.fake_collections import (
    ALL_PAIRS,
    FILES,
    SETTINGS,
    SUCCESSES,
    check_content,
    check_statistics,
    collect_fakes,
    expected_episodes,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole") / "data"
    return directory, collect_fakes(directory)


def test_round_trip_by_tfds(whole):
    check_content(whole[0], SETTINGS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expert": "me"}, "unknown expert 'me'; valid: scripted"),
        (
            {"expert": "scripted", "environment": EnvironmentConfig(task="lift_red")},
            "only stacks; valid tasks",
        ),
    ],
)
def test_the_settings_expert_is_checked_first(tmp_path, change, message):
    settings = dataclasses.replace(SETTINGS, **change)
    with pytest.raises(ValueError, match=message):
        collect.collect(tmp_path / "data", settings)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(SUCCESSES, marks=pytest.mark.slow, id="kept"),
        pytest.param(ALL_PAIRS, id="pairs"),
    ],
)
def test_what_is_collected_does_not_depend_on_processes(tmp_path, settings):
    manifests = {
        processes: collect_fakes(tmp_path / str(processes), settings, processes)
        for processes in (1, 3)
    }
    for processes in manifests:
        check_content(tmp_path / str(processes), settings)
        for what in ("collection", "code_versions"):  # others commit meanwhile
            del manifests[processes][what]
    assert manifests[1] == manifests[3]


def test_the_manifest_counts_what_was_tried(tmp_path):
    manifest = collect_fakes(tmp_path, SUCCESSES)
    indices = [
        e["episode_metadata"]["episode_index"] for e in expected_episodes(SUCCESSES)
    ]
    assert manifest["episode_indices"] == indices
    assert manifest["tried"] == indices[-1] + 1 > manifest["episodes"] == 14
    assert manifest["success_rate"] == 14 / manifest["tried"]
    assert manifest["collection"]["control_steps"] > manifest["control_steps"]


def test_the_manifest_has_success_by_combination(tmp_path):
    rows = collect_fakes(tmp_path, ALL_PAIRS)["success_by_combination"]
    assert [(r["task"], r["object_set"]) for r in rows] == list(ALL_PAIRS.combinations)
    # 32 episodes take 30 combinations in turns.
    assert [r["tried"] for r in rows] == [2, 2] + [1] * 28
    wanted = [0] * 30
    for i, example in enumerate(expected_episodes(ALL_PAIRS)):
        wanted[i % 30] += example["episode_metadata"]["success"]
    assert [r["successes"] for r in rows] == wanted


def test_no_success_at_all_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_assignment, "PATIENCE", 9)
    with pytest.raises(ValueError, match="none of the first 9 episodes succeeded"):
        collect_fakes(tmp_path, SUCCESSES, success_rate=0.0)
    assert [f.name for f in tmp_path.iterdir() if f.is_file()] == ["manifest.json"]
    collect_fakes(tmp_path, SUCCESSES)
    check_content(tmp_path, SUCCESSES)


def test_settings_that_came_later_have_defaults_and_other_formats_are_refused(tmp_path):
    collect_fakes(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    for later in ("dataset", "keep"):
        del manifest["settings"][later]
    files.write_json(tmp_path / "manifest.json", manifest)
    (tmp_path / schema.shard_name(1, 5)).unlink()
    collect_fakes(tmp_path)
    check_content(tmp_path, SETTINGS)
    del manifest["schema_version"]  # Of the first format, which did not name it.
    files.write_json(tmp_path / "manifest.json", manifest)
    with pytest.raises(ValueError, match="format 1.0.0, and this writes 1.1.0"):
        collect_fakes(tmp_path)


def test_manifest_and_files(whole):
    directory, manifest = whole
    assert json.loads((directory / "manifest.json").read_text()) == manifest
    assert manifest["settings"] == SETTINGS.to_dict()
    assert manifest["episodes"] == 14
    assert manifest["successes"] == sum(manifest["episode_successes"])
    assert manifest["expert_phases"] == ["early", "late"]
    assert manifest["collection"]["control_steps"] == manifest["control_steps"]
    names = {f.name for f in directory.iterdir()}
    shards = {f"helms_stacking-train.tfrecord-{i:05d}-of-00005" for i in range(5)}
    assert names == shards | set(FILES)


@pytest.mark.parametrize("settings", [SETTINGS, SUCCESSES], ids=schema.KEEP)
def test_the_metadata_have_statistics_of_all_steps(tmp_path, settings):
    collect_fakes(tmp_path, settings)
    check_statistics(tmp_path, settings)


def test_a_data_set_without_statistics_gets_them_and_nothing_else_changes(
    whole, tmp_path
):
    directory = shutil.copytree(whole[0], tmp_path / "data")
    (directory / "metadata.json").unlink()
    assert not collect.is_complete(directory, SETTINGS)
    assert collect_fakes(directory, fault="raise") == whole[1]
    assert {f.name for f in directory.iterdir()} == {f.name for f in whole[0].iterdir()}
    # TFDS's own two files have their keys in no order.
    for name in {f.name for f in directory.iterdir()} - {FILES[1], FILES[3]}:
        assert (directory / name).read_bytes() == (whole[0] / name).read_bytes(), name


def test_while_a_file_is_collected_again_the_data_set_is_not_finished(whole, tmp_path):
    directory = shutil.copytree(whole[0], tmp_path / "data")
    (directory / schema.shard_name(3, 5)).unlink()
    seed = SETTINGS.episode_seed(10)
    with pytest.raises(collection_run.CollectionError):
        collect_fakes(directory, fault="raise", faulty_seed=seed)
    assert not (directory / "dataset_info.json").exists()
    collect_fakes(directory)
    check_content(directory, SETTINGS)


def test_shards_do_not_depend_on_the_number_of_processes(whole, tmp_path):
    collect_fakes(tmp_path / "one", processes=1)
    for path in whole[0].glob("*tfrecord*"):
        assert path.read_bytes() == (tmp_path / "one" / path.name).read_bytes()


def test_a_complete_data_set_is_left_alone(whole):
    before = {f: f.stat().st_mtime_ns for f in whole[0].iterdir()}
    assert collect_fakes(whole[0], fault="raise") == whole[1]
    assert before == {f: f.stat().st_mtime_ns for f in whole[0].iterdir()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 8}, "seed 7, not 8"),
        ({"episodes": 13}, "episodes 14, not 13: one is extended and never cut"),
        (
            {"environment": EnvironmentConfig.paper(task="stack_blue_red")},
            "task 'stack_red_blue', not 'stack_blue_red'",
        ),
        (
            {"environment": EnvironmentConfig.paper(domain_randomization=False)},
            "domain_randomization True, not False",
        ),
    ],
)
def test_other_settings_in_the_same_directory_are_refused(whole, change, message):
    before = {f: f.stat().st_mtime_ns for f in whole[0].iterdir()}
    with pytest.raises(ValueError, match=message):
        collect_fakes(whole[0], dataclasses.replace(SETTINGS, **change))
    assert before == {f: f.stat().st_mtime_ns for f in whole[0].iterdir()}


def test_directories_of_others_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty and holds no data set"):
        collect_fakes(tmp_path)
    with pytest.raises(ValueError, match="is not a directory"):
        collect_fakes(tmp_path / "notes.txt")


def test_a_second_collecting_process_is_refused(tmp_path):
    with files.locked(tmp_path), pytest.raises(ValueError, match="another process"):
        collect_fakes(tmp_path)


def test_a_damaged_shard_is_named(whole, tmp_path):
    directory = tmp_path / "data"
    directory.mkdir()
    for path in whole[0].iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    (directory / "dataset_info.json").unlink()
    shard = directory / schema.shard_name(2, 5)
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(ValueError, match="00002-of-00005 is damaged"):
        collect_fakes(directory)
    shard.unlink()
    collect_fakes(directory)
    check_content(directory, SETTINGS)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise", "RuntimeError: the fake environment was told to fail"),
        ("kill", "killed by signal 9"),
        ("nan", r"episode 7 \(seed \d+\): wrist/force is not finite at step 3"),
    ],
)
def test_a_failing_worker_is_reported_and_finished_shards_are_kept(
    tmp_path, fault, message
):
    seed = SETTINGS.episode_seed(7)
    with pytest.raises(collection_run.CollectionError, match=message) as error:
        collect_fakes(tmp_path, fault=fault, faulty_seed=seed)
    assert "\n" not in str(error.value)
    # Episode 7 is in shard 2: shards 0 and 1 were complete by then.
    assert (tmp_path / schema.shard_name(0, 5)).exists()
    assert not (tmp_path / schema.shard_name(2, 5)).exists()
    assert not (tmp_path / "dataset_info.json").exists()
    if fault != "kill":
        logs = "".join(f.read_text() for f in (tmp_path / "logs").iterdir())
        assert "Traceback" in logs
    collect_fakes(tmp_path)
    check_content(tmp_path, SETTINGS)
    assert not (tmp_path / "logs").exists()


def test_a_worker_that_takes_long_to_end_is_no_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_pool, "_JOIN_SECONDS", 0.1)
    settings = dataclasses.replace(SETTINGS, episodes=3)
    # So slow that one worker is still at it when the other has nothing more to do.
    collect_fakes(tmp_path, settings, exit_seconds=2.0, step_seconds=0.1)
    check_content(tmp_path, settings)
