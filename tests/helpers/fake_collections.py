"""Data sets that are collected from fakes, and what they have to hold."""

import dataclasses
import functools
import itertools
import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets.collection import collect, rollout
from datasets.rlds import schema
from environments import EnvironmentConfig
from tests.helpers import collection_fakes

SETTINGS = schema.Settings(
    EnvironmentConfig.paper(),
    "fake",
    episodes=14,
    seed=7,
    episodes_per_shard=3,
)
FILES = ("manifest.json", "features.json", "metadata.json", "dataset_info.json")
# Half of the fakes' episodes succeed.
SUCCESSES = dataclasses.replace(SETTINGS, keep="successes")
ALL_PAIRS = dataclasses.replace(SETTINGS, dataset="all_pairs_stacking", episodes=32)


def collect_fakes(directory, settings=SETTINGS, processes=2, **fake):
    make = functools.partial(collection_fakes.FakeEnvironment, **fake)
    return collect.collect(
        directory,
        settings,
        make,
        collection_fakes.FakeExpert,
        processes,
        progress=False,
    )


def read(directory):
    """Reads a data set as a stranger would: TFDS and nothing of ours."""
    builder = tfds.builder_from_directory(str(directory))
    episodes = []
    for example in builder.as_dataset(split="train"):
        steps = [tfds.as_numpy(step) for step in example["steps"]]
        episodes.append((steps, tfds.as_numpy(example["episode_metadata"])))
    return sorted(episodes, key=lambda e: e[1]["episode_index"])


def expected_episodes(settings):
    """The episodes to be kept, as the fakes give them in this process."""
    environment = collection_fakes.FakeEnvironment()
    expert = collection_fakes.FakeExpert(environment)
    episodes = (
        rollout.run_episode(environment, expert, settings, index)
        for index in itertools.count()
    )
    if settings.keep == "successes":
        episodes = (e for e in episodes if e["episode_metadata"]["success"])
    return list(itertools.islice(episodes, settings.episodes))


def check_content(directory, settings):
    """Every episode once, each equal to what the fakes give in this process."""
    episodes = read(directory)
    for (steps, metadata), expected in zip(
        episodes, expected_episodes(settings), strict=True
    ):
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


def check_statistics(directory, settings):
    """TFDS's own reader has them, and they are NumPy's of all episodes at once."""
    info = tfds.builder_from_directory(str(directory)).info
    found = info.metadata["statistics"]
    steps = [e["steps"] for e in expected_episodes(settings)]
    arrays = {
        f"observation/{name}": np.concatenate([s["observation"][name] for s in steps])
        for name in steps[0]["observation"]
    }
    for name in ("action", "expert_action", "reward"):  # the last step's are none
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


def check_manifest(directory, settings):
    """The manifest counts what `check_content` finds, whatever was interrupted."""
    manifest = json.loads((directory / "manifest.json").read_text())
    wanted = [schema.summary(e) for e in expected_episodes(settings)]
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


def check_whole(directory, settings):
    check_content(directory, settings)
    check_manifest(directory, settings)
    check_statistics(directory, settings)
    assert not list(directory.glob(".*"))
