"""Windows against brute force, determinism, and the data sets that are refused."""

import collections
import functools
import json
import os
import shutil
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets import loader
from datasets.collection import collect
from datasets.rlds import files, schema, writer
from environments import EnvironmentConfig, observations
from tests.helpers import collection_fakes, dataset_files

EPISODES, T, L = 12, 4, 2  # Of 5 to 12 steps each.
SETTINGS = schema.Settings(EnvironmentConfig.paper(), "fake", EPISODES, 3, 5)


def _collect(directory, settings=SETTINGS, **fake):
    make = functools.partial(collection_fakes.FakeEnvironment, **fake)
    collect.collect(
        directory, settings, make, collection_fakes.FakeExpert, 2, progress=False
    )
    return directory


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return _collect(tmp_path_factory.mktemp("loader") / "data")


@pytest.fixture(scope="module")
def episodes(directory):
    """Grouped episodes in the order of their indices, read by TFDS alone."""
    found = {}
    dataset = tfds.builder_from_directory(str(directory)).as_dataset(split="train")
    for example in dataset:
        steps = [tfds.as_numpy(step) for step in example["steps"]]
        groups = [observations.group(step["observation"]) for step in steps]
        found[int(example["episode_metadata"]["episode_index"])] = {
            "proprio": np.stack([g["proprio"] for g in groups]),
            "objects": np.stack([g["objects"] for g in groups]),
            "action": np.stack([step["expert_action"] for step in steps]),
        }
    return [found[i] for i in range(EPISODES)]


def _window(episode, start):
    """The window by brute force, frame by frame; `start` may be before the first."""
    last = len(episode["action"]) - 1
    acting = [f for f in range(start, start + T) if 0 <= f < last]
    frames = [min(max(start, 0) + i, last) for i in range(T + L)]
    return {
        "proprio": np.stack([episode["proprio"][f] for f in frames]),
        "objects": np.stack([episode["objects"][f] for f in frames]),
        "action": np.stack(
            [episode["action"][f] for f in acting] + [np.zeros(5)] * (T - len(acting))
        ),
        "mask": np.array([1.0] * len(acting) + [0.0] * (T - len(acting))),
    }


def _batches(directory, count, **kwargs):
    dataset = loader.windows(directory, window=T, look_ahead=L, **kwargs)
    return [tfds.as_numpy(batch) for batch in dataset.take(count)]


def test_train_windows_are_those_of_brute_force(directory, episodes):
    train = episodes[:-1]
    windows = [
        (e, start, _window(episode, start))
        for e, episode in enumerate(train)
        for start in range(1 - T, len(episode["action"]) - 1)
    ]
    expected = {
        (w["proprio"][0].tobytes(), w["mask"].sum()): (e, start, w)
        for e, start, w in windows
    }
    assert len(expected) == len(windows)
    seen, mixed = set(), []
    for batch in _batches(directory, 100, batch_size=16):
        assert {k: v.dtype for k, v in batch.items()} == dict.fromkeys(
            ("proprio", "objects", "action", "mask"), np.float32
        )
        of_batch = set()
        for b in range(16):
            key = batch["proprio"][b, 0].tobytes(), batch["mask"][b].sum()
            e, start, window = expected[key]
            for key, value in window.items():
                np.testing.assert_array_equal(batch[key][b], value, err_msg=key)
            seen.add((e, start))
            of_batch.add(e)
        mixed.append(len(of_batch))
    assert len(seen) == len(expected)  # 1600 draws of fewer than 165 windows
    assert np.mean(mixed) > 5


def test_every_step_of_an_episode_counts_the_same(directory, episodes):
    """All windows, each once, by counting: every action is in T of them."""
    lengths = [len(episode["action"]) for episode in episodes[:-1]]
    gather = loader._Gather(loader.load(directory), T, 0, context=False)
    starts = [(s, e) for e, n in enumerate(lengths) for s in range(1 - T, n - 1)]
    start, episode = (np.array(x, np.int64) for x in zip(*starts, strict=True))
    everything = gather(start, episode)
    valid = everything["mask"].numpy().astype(bool)
    counts = collections.Counter(
        a.tobytes() for a in everything["action"].numpy()[valid]
    )
    actions = np.concatenate([e["action"][:-1] for e in episodes[:-1]])
    assert counts == {action.tobytes(): T for action in actions}


def test_draws_are_uniform_over_the_steps(directory, episodes):
    places = {
        frame.tobytes(): t for e in episodes for t, frame in enumerate(e["proprio"])
    }
    drawn = np.zeros(T - 1)
    batches = _batches(directory, 40, batch_size=256)
    for batch in batches:
        # Of the first steps all frames are known: those of the window's front.
        for proprio, mask in zip(batch["proprio"], batch["mask"], strict=True):
            for frame, valid in zip(proprio[:T], mask, strict=True):
                if valid and places[frame.tobytes()] < T - 1:
                    drawn[places[frame.tobytes()]] += 1
    windows = sum(len(e["action"]) - 1 + T - 1 for e in episodes[:-1])
    share = drawn / (40 * 256) * windows / len(episodes[:-1])
    np.testing.assert_allclose(share, T, rtol=0.06)  # a deviation is 1.7 %


def test_held_out_is_one_pass_over_the_last_episode(directory, episodes):
    last = episodes[-1]
    length = len(last["action"])
    batches = _batches(directory, 100, split="held_out", batch_size=2)
    joined = {k: np.concatenate([b[k] for b in batches]) for k in batches[0]}
    starts = range(0, length - 1, T)
    assert len(joined["mask"]) == len(starts)
    for i, start in enumerate(starts):
        for key, value in _window(last, start).items():
            np.testing.assert_array_equal(joined[key][i], value, err_msg=key)
    valid = joined["mask"].astype(bool)
    np.testing.assert_array_equal(joined["action"][valid], last["action"][:-1])


def test_a_seed_gives_the_same_batches_and_another_others(directory):
    one, same = (_batches(directory, 5, batch_size=8, seed=1) for _ in range(2))
    other = _batches(directory, 5, batch_size=8, seed=2)
    for a, b in zip(one, same, strict=True):
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])
    assert not np.array_equal(one[0]["proprio"], other[0]["proprio"])
    assert not np.array_equal(one[0]["proprio"], one[1]["proprio"])


def test_skip_gives_what_follows(directory):
    whole = _batches(directory, 8, batch_size=8, seed=1)
    rest = _batches(directory, 3, batch_size=8, seed=1, skip=5)
    for a, b in zip(whole[5:], rest, strict=True):
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


def test_the_context_tells_each_episodes_task_and_objects(tmp_path):
    told = [("stack_red_blue", 4), ("stack_green_red", 1), ("stack_blue_red", 0)]
    colors = {"red": 0, "green": 1, "blue": 2}
    episodes, of_episode = dataset_files.examples(3), []
    for example, (task, object_set) in zip(episodes, told, strict=True):
        example["episode_metadata"] |= {"task": task, "object_set": object_set}
        _, top, bottom = task.split("_")
        of_episode.append(np.zeros(11, np.float32))
        of_episode[-1][[colors[top], 3 + colors[bottom]]] = 1
        if object_set:  # 0: random objects
            of_episode[-1][5 + object_set] = 1
    data = dataset_files.write(tmp_path / "data", episodes)
    firsts = {
        observations.group(e["steps"]["observation"])["proprio"][t].tobytes(): i
        for i, e in enumerate(episodes)
        for t in range(dataset_files.STEPS)
    }
    size, seen = observations.GROUP_SIZES["objects"], set()
    for split in loader.SPLITS:
        (batch,) = _batches(data, 1, split=split, batch_size=16, context=True)
        (plain,) = _batches(data, 1, split=split, batch_size=16)
        np.testing.assert_array_equal(batch["objects"][..., :size], plain["objects"])
        for proprio, objects in zip(batch["proprio"], batch["objects"], strict=True):
            episode = firsts[proprio[0].tobytes()]
            for frame in objects:
                np.testing.assert_array_equal(frame[size:], of_episode[episode])
            seen.add(episode)
    assert seen == {0, 1, 2}
    mean, stddev = loader.statistics(data, context=True)["objects"]
    plain_mean, plain_stddev = loader.statistics(data)["objects"]
    np.testing.assert_array_equal(mean, [*plain_mean, *np.zeros(11)])
    np.testing.assert_array_equal(stddev, [*plain_stddev, *np.ones(11)])


def test_episodes_without_a_task_have_no_context(tmp_path):
    data = dataset_files.write_plain(tmp_path / "data", dataset_files.examples(2))
    with pytest.raises(ValueError, match="task '' has no context; valid: stack_red"):
        loader.windows(data, context=True)


def test_static_shapes(directory):
    spec = loader.windows(directory, batch_size=3).element_spec
    shapes = {key: tuple(value.shape) for key, value in spec.items()}
    assert shapes == {
        "proprio": (3, 30, observations.GROUP_SIZES["proprio"]),
        "objects": (3, 30, observations.GROUP_SIZES["objects"]),
        "action": (3, 25, 5),
        "mask": (3, 25),
    }


def test_statistics_are_of_the_train_part(directory, episodes):
    statistics = loader.statistics(directory)
    for key in ("proprio", "objects"):
        frames = np.concatenate([e[key] for e in episodes[:-1]])
        mean, stddev = statistics[key]
        np.testing.assert_allclose(mean, frames.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(stddev, frames.std(axis=0), rtol=1e-4)


def test_manifest(directory):
    assert loader.manifest(directory)["episodes"] == EPISODES
    with pytest.raises(ValueError, match="does not exist"):
        loader.manifest(directory / "nowhere")


def test_data_sets_made_elsewhere_have_records_of_their_own(tmp_path):
    episodes = dataset_files.examples(5)
    first = dataset_files.write_plain(tmp_path / "first", episodes[:2])
    record = loader.manifest(first)
    assert record["content"]["shards"] == {schema.shard_name(0, 1): 2}
    for description in ("{}", '{"dataset": "theirs"}'):  # a manifest that is not ours
        (first / files.MANIFEST).write_text(description)
        noted = loader.manifest(first)
        assert noted["content"] == record["content"]
    copy = shutil.copytree(first, tmp_path / "copy")
    assert loader.manifest(copy) == noted
    (copy / files.MANIFEST).unlink()
    assert loader.manifest(copy) == record
    others = [
        dataset_files.write_plain(tmp_path / "values", episodes[2:4]),  # same lengths
        dataset_files.write_plain(tmp_path / "more", episodes[:3]),
        dataset_files.write_plain(tmp_path / "swapped", episodes[1::-1]),
    ]
    records = [json.dumps(loader.manifest(other)) for other in others]
    assert len({json.dumps(record), *records}) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "test"}, "unknown split 'test'; valid: train, held_out"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"look_ahead": -1}, "look_ahead is -1"),
        ({"skip": -1}, "skip is -1"),
    ],
)
def test_bad_arguments(directory, arguments, message):
    with pytest.raises(ValueError, match=message):
        loader.windows(directory, **arguments)


def _written(directory, action_size=5, drop=None, length=6, shards=1):
    """Writes a data set of one episode a shard by the builder alone."""
    directory.mkdir()
    environment = collection_fakes.FakeEnvironment(action_size=action_size)
    spec = environment.observation_spec()
    spec.pop(drop, None)
    features = schema.features(spec, environment.action_spec())
    steps = {
        "observation": {
            k: np.zeros((length, *v.shape), v.dtype) for k, v in spec.items()
        },
        "action": np.zeros((length, action_size), np.float32),
        "expert_action": np.zeros((length, action_size), np.float32),
        "expert_phase": np.zeros(length, np.int32),
    }
    steps |= {k: np.zeros(length, np.float32) for k in ("reward", "discount")}
    steps |= {
        k: np.zeros(length, np.bool_) for k in ("is_first", "is_last", "is_terminal")
    }
    metadata: dict = dict.fromkeys(("task", "reward", "expert", "expert_phases"), "")
    metadata |= dict.fromkeys(
        ("object_set", "seed", "episode_index", "action_delay"), 0
    )
    metadata |= {"success": False, "invalid": False, "randomization": "{}"}
    record = writer.Serializer(features)({"steps": steps, "episode_metadata": metadata})
    for shard in range(shards):
        path = directory / schema.shard_name(shard, shards)
        writer.write_shard(path, [record])
    writer.write_metadata(directory, features, [1] * shards, len(record), {}, {})
    return directory


def test_data_sets_of_other_shapes(tmp_path):
    with pytest.raises(
        ValueError, match=r" expert_action has shape \[7\]; valid: \[5\]"
    ):
        loader.load(_written(tmp_path / "a", action_size=7))
    with pytest.raises(ValueError, match="lacks the observations wrist/force"):
        loader.load(_written(tmp_path / "b", drop="wrist/force"))


def test_without_the_expert_action_the_label_is_the_executed_one(tmp_path):
    episodes = dataset_files.examples(2)
    for name, write in (
        ("expert_action", dataset_files.write),
        ("action", dataset_files.write_plain),
    ):
        found = loader.load(write(tmp_path / name, episodes))
        for key, values in ((name, found.action), ("action", found.executed_action)):
            expected = np.concatenate([e["steps"][key] for e in episodes])
            np.testing.assert_array_equal(values, expected, err_msg=key)


@pytest.mark.parametrize("name", ["action", "expert_action"])
def test_an_action_that_is_out_of_range(tmp_path, name):
    episodes = dataset_files.examples(2)
    episodes[1]["steps"][name][4, 2] = -1.5
    data = dataset_files.write(tmp_path / "data", episodes)
    with pytest.raises(ValueError, match=f"episode 1: an {name} of -1.5 is outside"):
        loader.load(data)


@pytest.mark.parametrize("length", [0, 1])  # steps
def test_an_episode_without_a_control_step_is_left_out_and_named(tmp_path, length):
    episodes = dataset_files.examples(4)
    dataset_files.shorten(episodes[1], length)
    data = dataset_files.write(tmp_path / "data", episodes)
    place = rf"{schema.shard_name(0, 2)}: episode 1 \(record 1\)$"
    with pytest.warns(UserWarning, match=f"left out, .* no control step: {place}"):
        found = loader.load(data)
    np.testing.assert_array_equal(found.lengths, [dataset_files.STEPS + 1] * 3)
    actions = [episodes[i]["steps"]["expert_action"] for i in (0, 2, 3)]
    np.testing.assert_array_equal(found.action, np.concatenate(actions))
    assert observations.group(episodes[1]["steps"]["observation"])["proprio"].shape == (
        length,
        observations.GROUP_SIZES["proprio"],
    )


def test_arrays_of_different_lengths_are_refused_with_their_place(tmp_path):
    episodes = dataset_files.examples(2)
    force = episodes[1]["steps"]["observation"]["wrist/force"]
    episodes[1]["steps"]["observation"]["wrist/force"] = force[:-1]
    data = dataset_files.write(tmp_path / "data", episodes)
    place = f"{schema.shard_name(0, 1)}: episode 1"
    text = "wrist/force has 12 steps, but action has 13"
    with pytest.raises(ValueError, match=f"{place}: {text}"):
        loader.load(data)


@pytest.mark.parametrize("value", [np.nan, 9.0])
def test_what_the_last_step_has_besides_its_observation_is_ignored(tmp_path, value):
    episodes = dataset_files.examples(2)
    for name in ("action", "expert_action", "reward", "discount"):
        episodes[1]["steps"][name][-1] = value
    found: Any = loader.load(dataset_files.write(tmp_path / "data", episodes))
    last = np.cumsum(found.lengths) - 1
    for values in (found.action, found.executed_action, found.reward, found.discount):
        assert not np.any(values.numpy()[last])
        assert np.isfinite(values).all()
    batches = loader.windows(tmp_path / "data", window=T, look_ahead=L, batch_size=32)
    (batch,) = batches.take(1)
    assert np.abs(batch["action"]).max() <= 1.0


def test_an_observation_of_another_shape(tmp_path, monkeypatch):
    directory = _written(tmp_path / "a", shards=2)
    monkeypatch.setitem(observations.FRAME_SIZES, "wrist/force", 2)
    with pytest.raises(
        ValueError, match=r"wrist/force has shape \[3, 3\]; valid: \[3, 2\]"
    ):
        loader.load(directory)


def test_data_sets_that_cannot_be_used(tmp_path, directory):
    with pytest.raises(ValueError, match="does not exist"):
        loader.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is not a data set"):
        loader.load(tmp_path / "empty")
    unfinished = tmp_path / "unfinished"
    shutil.copytree(directory, unfinished)
    (unfinished / files.DATASET_INFO).unlink()
    with pytest.raises(ValueError, match="is not finished"):
        loader.load(unfinished)
    with pytest.raises(ValueError, match="has 1 episode; valid: from 2"):
        loader.windows(_written(tmp_path / "one"))
    with pytest.raises(ValueError, match="no episode with a control step"):
        loader.load(_written(tmp_path / "still", length=1))


def _copy(directory, target):
    shutil.copytree(directory, target)
    return target, target / files.DATASET_INFO, target / schema.shard_name(1, 3)


def test_a_data_set_that_is_replaced_is_read_again(tmp_path):
    first, second = (
        dataset_files.write_plain(tmp_path / str(i), dataset_files.examples(i))
        for i in (2, 3)
    )
    os.utime(second / files.DATASET_INFO, ns=(0, 0))
    os.utime(first / files.DATASET_INFO, ns=(0, 0))
    assert loader.load(first).num_episodes == 2
    assert loader.load(first) is loader.load(first)
    shutil.rmtree(first)
    second.rename(first)
    assert loader.load(first).num_episodes == 3


def test_missing_and_torn_files(tmp_path, directory):
    copy, _, shard = _copy(directory, tmp_path / "torn")
    shard.write_bytes(shard.read_bytes()[:-50])
    with pytest.raises(ValueError, match="is damaged"):
        loader.load(copy)
    copy, _, shard = _copy(directory, tmp_path / "missing")
    shard.unlink()
    with pytest.raises(ValueError, match="is damaged: .*00001-of-00003: missing"):
        loader.load(copy)


def test_wrong_or_empty_split(tmp_path, directory):
    for change, message in (
        ({"name": "test"}, "lacks the split train; it has test"),
        ({"shardLengths": ["0", "0", "0"]}, "is empty"),
    ):
        copy, info, _ = _copy(directory, tmp_path / message.split()[-1])
        content = json.loads(info.read_text())
        content["splits"][0].update(change)
        info.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=message):
            loader.load(copy)
    copy, info, _ = _copy(directory, tmp_path / "broken")
    info.write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        loader.load(copy)
