"""Collection over real processes: content, interruption, refusal, failure."""

import dataclasses
import functools
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import tensorflow_datasets as tfds

from datasets import collect, fakes, keeping, paths, rollout, schema, workers

SETTINGS = schema.Settings(
    "stack_red_blue",
    "staged_sparse",
    4,
    True,
    2,
    "fake",
    episodes=14,
    seed=7,
    episodes_per_shard=3,
)
FILES = ("manifest.json", "features.json", "metadata.json", "dataset_info.json")
# Half of the fakes' episodes succeed.
SUCCESSES = dataclasses.replace(SETTINGS, keep="successes")
ALL_PAIRS = dataclasses.replace(
    SETTINGS, dataset="all_pairs_stacking", task=None, object_set=None, episodes=32
)


def _collect(directory, settings=SETTINGS, processes=2, **fake):
    make = functools.partial(fakes.FakeEnvironment, **fake)
    return collect.collect(
        directory, settings, make, fakes.FakeExpert, processes, progress=False
    )


def _read(directory):
    """Reads a data set as a stranger would: TFDS and nothing of ours."""
    builder = tfds.builder_from_directory(str(directory))
    episodes = []
    for example in builder.as_dataset(split="train"):
        steps = [tfds.as_numpy(step) for step in example["steps"]]
        episodes.append((steps, tfds.as_numpy(example["episode_metadata"])))
    return sorted(episodes, key=lambda e: e[1]["episode_index"])


def _expected(settings):
    """The episodes to be kept, as the fakes give them in this process."""
    environment = fakes.FakeEnvironment()
    expert = fakes.FakeExpert(environment)
    episodes = (
        rollout.run_episode(environment, expert, settings, index)
        for index in itertools.count()
    )
    if settings.keep == "successes":
        episodes = (e for e in episodes if e["episode_metadata"]["success"])
    return list(itertools.islice(episodes, settings.episodes))


def _check_content(directory, settings):
    """Every episode once, each equal to what the fakes give in this process."""
    episodes = _read(directory)
    for (steps, metadata), expected in zip(episodes, _expected(settings), strict=True):
        wanted = expected["steps"]
        assert len(steps) == len(wanted["reward"])
        for t, step in enumerate(steps):
            for name, value in step.pop("observation").items():
                np.testing.assert_array_equal(value, wanted["observation"][name][t])
                assert value.dtype == wanted["observation"][name].dtype
            for name, value in step.items():
                np.testing.assert_array_equal(value, wanted[name][t])
        for name, value in expected["episode_metadata"].items():
            found = metadata[name]
            assert (found.decode() if isinstance(value, str) else found) == value


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole") / "data"
    return directory, _collect(directory)


def test_round_trip_by_tfds(whole):
    _check_content(whole[0], SETTINGS)


@pytest.mark.parametrize("settings", [SUCCESSES, ALL_PAIRS], ids=["kept", "pairs"])
def test_what_is_collected_does_not_depend_on_processes(tmp_path, settings):
    manifests = {
        processes: _collect(tmp_path / str(processes), settings, processes)
        for processes in (1, 3)
    }
    for processes in manifests:
        _check_content(tmp_path / str(processes), settings)
        for what in ("collection", "code_versions"):  # others commit meanwhile
            del manifests[processes][what]
    assert manifests[1] == manifests[3]


def test_the_manifest_counts_what_was_tried(tmp_path):
    manifest = _collect(tmp_path, SUCCESSES)
    indices = [e["episode_metadata"]["episode_index"] for e in _expected(SUCCESSES)]
    assert manifest["episode_indices"] == indices
    assert manifest["tried"] == indices[-1] + 1 > manifest["episodes"] == 14
    assert manifest["success_rate"] == 14 / manifest["tried"]
    assert manifest["collection"]["control_steps"] > manifest["control_steps"]


def test_the_manifest_has_success_by_combination(tmp_path):
    rows = _collect(tmp_path, ALL_PAIRS)["success_by_combination"]
    assert [(r["task"], r["object_set"]) for r in rows] == list(ALL_PAIRS.combinations)
    # 32 episodes take 30 combinations in turns.
    assert [r["tried"] for r in rows] == [2, 2] + [1] * 28
    wanted = [0] * 30
    for i, example in enumerate(_expected(ALL_PAIRS)):
        wanted[i % 30] += example["episode_metadata"]["success"]
    assert [r["successes"] for r in rows] == wanted


def test_no_success_at_all_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "PATIENCE", 9)
    with pytest.raises(ValueError, match="none of the first 9 episodes succeeded"):
        _collect(tmp_path, SUCCESSES, success_rate=0.0)
    assert [f.name for f in tmp_path.iterdir() if f.is_file()] == ["manifest.json"]
    _collect(tmp_path, SUCCESSES)
    _check_content(tmp_path, SUCCESSES)


def test_data_sets_of_earlier_versions_are_continued_and_others_refused(tmp_path):
    _collect(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["schema_version"]
    for later in ("dataset", "keep"):
        del manifest["settings"][later]
    paths.write_json(tmp_path / "manifest.json", manifest)
    (tmp_path / schema.shard_name(1, 5)).unlink()
    _collect(tmp_path)
    _check_content(tmp_path, SETTINGS)
    paths.write_json(tmp_path / "manifest.json", manifest | {"schema_version": "9.0.0"})
    with pytest.raises(ValueError, match="format 9.0.0, and this writes 1.0.0"):
        _collect(tmp_path)


def test_manifest_and_files(whole):
    directory, manifest = whole
    assert json.loads((directory / "manifest.json").read_text()) == manifest
    assert manifest["settings"] == dataclasses.asdict(SETTINGS)
    assert manifest["episodes"] == 14
    assert manifest["successes"] == sum(manifest["episode_successes"])
    assert manifest["expert_phases"] == ["early", "late"]
    assert manifest["collection"]["control_steps"] == manifest["control_steps"]
    names = {f.name for f in directory.iterdir()}
    shards = {f"helms_stacking-train.tfrecord-{i:05d}-of-00005" for i in range(5)}
    assert names == shards | set(FILES)


def _check_statistics(directory, settings):
    """TFDS's own reader has them, and they are NumPy's of all episodes at once."""
    info = tfds.builder_from_directory(str(directory)).info
    found = info.metadata["statistics"]
    steps = [e["steps"] for e in _expected(settings)]
    arrays = {
        f"observation/{name}": np.concatenate([s["observation"][name] for s in steps])
        for name in steps[0]["observation"]
    }
    for name in ("action", "reward"):  # the last step's are none
        arrays[name] = np.concatenate([s[name][:-1] for s in steps])
    assert found.keys() == arrays.keys()
    for name, values in arrays.items():
        exact = values.astype(np.float64)
        assert found[name]["count"] == len(values)
        for what in ("mean", "std", "min", "max"):
            wanted = getattr(exact, what)(axis=0)
            np.testing.assert_allclose(
                found[name][what], wanted, rtol=1e-6, atol=1e-9, err_msg=name
            )
            assert np.shape(found[name][what]) == wanted.shape


@pytest.mark.parametrize("settings", [SETTINGS, SUCCESSES], ids=schema.KEEP)
def test_the_metadata_have_statistics_of_all_steps(tmp_path, settings):
    _collect(tmp_path, settings)
    _check_statistics(tmp_path, settings)


def test_a_data_set_without_statistics_gets_them_and_nothing_else_changes(
    whole, tmp_path
):
    directory = shutil.copytree(whole[0], tmp_path / "data")
    (directory / "metadata.json").unlink()
    assert not collect.is_complete(directory, SETTINGS)
    assert _collect(directory, fault="raise") == whole[1]
    assert {f.name for f in directory.iterdir()} == {f.name for f in whole[0].iterdir()}
    # TFDS's own two files have their keys in no order.
    for name in {f.name for f in directory.iterdir()} - {FILES[1], FILES[3]}:
        assert (directory / name).read_bytes() == (whole[0] / name).read_bytes(), name


def test_while_a_file_is_collected_again_the_data_set_is_not_finished(whole, tmp_path):
    directory = shutil.copytree(whole[0], tmp_path / "data")
    (directory / schema.shard_name(3, 5)).unlink()
    seed = SETTINGS.episode_seed(10)
    with pytest.raises(collect.CollectionError):
        _collect(directory, fault="raise", faulty_seed=seed)
    assert not (directory / "dataset_info.json").exists()
    _collect(directory)
    _check_content(directory, SETTINGS)


def test_shards_do_not_depend_on_the_number_of_processes(whole, tmp_path):
    _collect(tmp_path / "one", processes=1)
    for path in whole[0].glob("*tfrecord*"):
        assert path.read_bytes() == (tmp_path / "one" / path.name).read_bytes()


def test_a_complete_data_set_is_left_alone(whole):
    before = {f: f.stat().st_mtime_ns for f in whole[0].iterdir()}
    assert _collect(whole[0], fault="raise") == whole[1]
    assert before == {f: f.stat().st_mtime_ns for f in whole[0].iterdir()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 8}, "seed 7, not 8"),
        ({"episodes": 15}, "episodes 14, not 15"),
        ({"task": "stack_blue_red"}, "task 'stack_red_blue', not 'stack_blue_red'"),
        ({"domain_randomization": False}, "domain_randomization True, not False"),
    ],
)
def test_other_settings_in_the_same_directory_are_refused(whole, change, message):
    before = {f: f.stat().st_mtime_ns for f in whole[0].iterdir()}
    with pytest.raises(ValueError, match=message):
        _collect(whole[0], dataclasses.replace(SETTINGS, **change))
    assert before == {f: f.stat().st_mtime_ns for f in whole[0].iterdir()}


def test_directories_of_others_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty and holds no data set"):
        _collect(tmp_path)
    with pytest.raises(ValueError, match="is not a directory"):
        _collect(tmp_path / "notes.txt")


def test_a_second_collecting_process_is_refused(tmp_path):
    with paths.locked(tmp_path), pytest.raises(ValueError, match="another process"):
        _collect(tmp_path)


def test_a_damaged_shard_is_named(whole, tmp_path):
    directory = tmp_path / "data"
    directory.mkdir()
    for path in whole[0].iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    (directory / "dataset_info.json").unlink()
    shard = directory / schema.shard_name(2, 5)
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(ValueError, match="00002-of-00005 is damaged"):
        _collect(directory)
    shard.unlink()
    _collect(directory)
    _check_content(directory, SETTINGS)


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
    with pytest.raises(collect.CollectionError, match=message) as error:
        _collect(tmp_path, fault=fault, faulty_seed=seed)
    assert "\n" not in str(error.value)
    # Episode 7 is in shard 2: shards 0 and 1 were complete by then.
    assert (tmp_path / schema.shard_name(0, 5)).exists()
    assert not (tmp_path / schema.shard_name(2, 5)).exists()
    assert not (tmp_path / "dataset_info.json").exists()
    if fault != "kill":
        logs = "".join(f.read_text() for f in (tmp_path / "logs").iterdir())
        assert "Traceback" in logs
    _collect(tmp_path)
    _check_content(tmp_path, SETTINGS)
    assert not (tmp_path / "logs").exists()


def _check_manifest(directory, settings):
    """The manifest counts what `_check_content` finds, whatever was interrupted."""
    manifest = json.loads((directory / "manifest.json").read_text())
    wanted = [schema.summary(e) for e in _expected(settings)]
    columns = {
        "episode_indices": "index",
        "episode_seeds": "seed",
        "episode_successes": "success",
    }
    for name, column in columns.items():
        assert manifest[name] == [getattr(s, column) for s in wanted]
    assert manifest["episode_returns"] == pytest.approx(
        [s.episode_return for s in wanted]
    )
    assert manifest["episodes"] == len(wanted) == settings.episodes
    assert manifest["control_steps"] == sum(s.steps for s in wanted)
    assert manifest["successes"] == sum(s.success for s in wanted)
    all_tried = settings.keep == "all"
    assert manifest["tried"] == (len(wanted) if all_tried else wanted[-1].index + 1)


def _check_whole(directory, settings):
    _check_content(directory, settings)
    _check_manifest(directory, settings)
    _check_statistics(directory, settings)
    assert not list(directory.glob(".*"))


def test_a_worker_that_takes_long_to_end_is_no_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_JOIN_SECONDS", 0.1)
    settings = dataclasses.replace(SETTINGS, episodes=3)
    # So slow that one worker is still at it when the other has nothing more to do.
    _collect(tmp_path, settings, exit_seconds=2.0, step_seconds=0.1)
    _check_content(tmp_path, settings)


_PROGRAM = """
import dataclasses, functools, json, os, signal, sys
from datasets import builder, collect, fakes, paths, schema
settings = schema.Settings(**json.loads(sys.argv[2]))
commits = int(sys.argv[3])
commit, write_metadata = paths.commit, builder.write_metadata

def count(*arguments):
    global commits
    if commits == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    commits -= 1
    if arguments:
        commit(*arguments)

def finish(*arguments):
    paths.commit = count
    write_metadata(*arguments)
    count()

if commits >= 0:
    builder.write_metadata = finish
make = functools.partial(fakes.FakeEnvironment, step_seconds=0.01)
collect.collect(sys.argv[1], settings, make, fakes.FakeExpert, 2, progress=False)
"""


def _start(directory, settings, commits=-1):
    """Starts the collection; it kills itself after so many files of its finish."""
    root = pathlib.Path(collect.__file__).parent.parent
    arguments = [str(directory), json.dumps(dataclasses.asdict(settings)), str(commits)]
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *arguments],
        cwd=root,
        stderr=subprocess.DEVNULL,
    )


def _shards(directory):
    return len(list(directory.glob("helms_stacking*")))


def _kill_after_new_shard(directory, settings, delay, victim):
    """Kills main, or a worker of it; False where it was done before."""
    before = _shards(directory)
    process = _start(directory, settings)
    while process.poll() is None and _shards(directory) == before:
        time.sleep(0.005)
    time.sleep(delay)
    workers, killed = [], process.poll() is None
    if killed:
        workers = psutil.Process(process.pid).children(recursive=True)
        collecting = [w for w in workers if "spawn_main" in " ".join(w.cmdline())]
        target = process.pid if victim == 0 else collecting[victim - 1].pid
        os.kill(target, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive, "workers outlive the process that was killed"
    if killed:
        assert process.returncode == (-signal.SIGKILL if victim == 0 else 1)
    return killed


def _kill_and_continue(directory, victims, rng, settings=SETTINGS):
    """Kills main (0) or worker 1 or 2, time and again."""
    settings = dataclasses.replace(settings, episodes=30 + 20 * len(victims))
    killed = 0
    for victim in victims:
        killed += _kill_after_new_shard(
            directory, settings, rng.uniform(0, 0.4), victim
        )
        assert _shards(directory) > 0
    assert killed == len(victims), "the collection was done before it could be killed"
    _collect(directory, settings)
    _check_whole(directory, settings)


@pytest.mark.parametrize("settings", [SETTINGS, SUCCESSES], ids=schema.KEEP)
def test_kill_9_and_continue(tmp_path, settings):
    _kill_and_continue(tmp_path, [0], random.Random(0), settings)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "settings", [SETTINGS, SUCCESSES, ALL_PAIRS], ids=[*schema.KEEP, "all pairs"]
)
def test_kill_9_ten_times_and_continue(tmp_path, settings):
    rng = random.Random(time.time_ns())
    victims = [0] * 5 + [rng.choice((1, 2)) for _ in range(5)]
    rng.shuffle(victims)
    _kill_and_continue(tmp_path, victims, rng, settings)


def _kill_in_finish(directory, settings, commits):
    process = _start(directory, settings, commits)
    assert process.wait() == -signal.SIGKILL
    written = {f.name for f in directory.iterdir()}
    # manifest.json is there from the start.
    assert written & set(FILES) == {FILES[0], *FILES[1:commits]}
    assert collect.is_complete(directory, settings) == (commits == len(FILES))
    _collect(directory, settings, fault="raise")  # No episode is collected again.
    _check_whole(directory, settings)


def test_kill_9_while_the_metadata_are_written(tmp_path):
    _kill_in_finish(tmp_path, SETTINGS, 3)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("commits", range(len(FILES) + 1))
@pytest.mark.parametrize("settings", [SETTINGS, SUCCESSES], ids=schema.KEEP)
def test_kill_9_before_and_after_each_file_of_the_metadata(tmp_path, settings, commits):
    _kill_in_finish(tmp_path, settings, commits)
