"""Merged data sets: every number, the manifest, and what is refused."""

import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets import loader
from datasets.collection import collect
from datasets.exchange import merge
from datasets.rlds import reader
from tests.helpers import commands, dataset_files, inspections
from tests.helpers.fake_collections import SETTINGS


def _episodes(directory):
    """Episodes in the order of files, which must all be readable."""
    source = reader.Records(directory)
    return list(source.episodes(lambda problem: pytest.fail(str(problem))))


def _assert_same(one, other, but=()):
    assert one.metadata.keys() == other.metadata.keys()
    for name in one.metadata.keys() - set(but):
        assert one.metadata[name] == other.metadata[name], name
    for mine, theirs in (
        (one.steps, other.steps),
        (one.observation, other.observation),
    ):
        assert mine.keys() == theirs.keys()
        for name, values in mine.items():
            assert values.dtype == theirs[name].dtype
            np.testing.assert_array_equal(values, theirs[name], err_msg=name)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    directory = tmp_path_factory.mktemp("parts")
    episodes = dataset_files.examples(9)
    more = episodes[5:]
    for index, example in enumerate(more):
        example["episode_metadata"]["episode_index"] = index
    paths = directory / "a", directory / "b"
    for path, examples in zip(paths, (episodes[:5], more), strict=True):
        dataset_files.write(path, examples)
    return [str(path) for path in paths]


@pytest.fixture(scope="module")
def merged(parts, tmp_path_factory):
    directory = tmp_path_factory.mktemp("merged") / "data"
    return directory, merge.merge(parts, directory, progress=False)


def test_all_numbers_are_kept_and_only_the_index_counts_anew(parts, merged):
    originals = [_episodes(part) for part in parts]
    directory, manifest = merged
    found = _episodes(directory)
    assert [e.index for e in found] == list(range(9))
    origins = zip(manifest["episode_parts"], manifest["episode_origins"], strict=True)
    assert sorted(origins) == [*((0, i) for i in range(5)), *((1, i) for i in range(4))]
    for episode, part, origin in zip(
        found, manifest["episode_parts"], manifest["episode_origins"], strict=True
    ):
        _assert_same(episode, originals[part][origin], but=("episode_index",))


def test_the_parts_are_mixed_in_proportion(merged):
    assert merged[1]["episode_parts"] == [0, 1, 0, 1, 0, 1, 0, 1, 0]


def test_inspection_and_tfds_know_it(merged, parts):
    directory, manifest = merged
    assert json.loads((directory / "manifest.json").read_text()) == manifest
    found, _ = inspections.inspect(directory)
    assert list(map(str, found.problems)) == []
    assert tfds.builder_from_directory(str(directory)).info.splits["train"]
    assert [p["directory"] for p in manifest["parts"]] == parts
    assert [(p["episodes"], p["of"]) for p in manifest["parts"]] == [(5, 5), (4, 4)]
    assert manifest["parts"][1]["manifest"]["episodes"] == 4
    assert loader.manifest(directory)["content"]["shards"]


def test_only_successes(parts, tmp_path):
    manifest = merge.merge(parts, tmp_path / "data", "success", progress=False)
    assert [(p["episodes"], p["of"]) for p in manifest["parts"]] == [(3, 5), (2, 4)]
    assert manifest["success_rate"] == 1.0
    found, _ = inspections.inspect(tmp_path / "data")
    assert list(map(str, found.problems)) == []
    assert all(row.success for row in found.rows)


def test_a_merged_data_set_is_not_collected_further(merged):
    with pytest.raises(ValueError, match="holds a data set that was merged"):
        collect.check(merged[0], SETTINGS)


def test_what_cannot_be_merged_gets_one_line_and_leaves_nothing(parts, tmp_path):
    camera = tmp_path / "camera"
    dataset_files.write(camera, dataset_files.examples(2, camera=True))
    failed = dataset_files.examples(1)
    failed[0]["episode_metadata"]["success"] = False
    dataset_files.write(tmp_path / "failed", failed)
    plain = dataset_files.write_plain(tmp_path / "plain", dataset_files.examples(2))
    short = dataset_files.write(tmp_path / "short", dataset_files.examples(2))
    (shard,) = short.glob("*tfrecord*")
    shard.write_bytes(shard.read_bytes()[:-5])
    out = tmp_path / "out"
    before = set(tmp_path.iterdir())
    for directories, where, message in (
        (parts[:1], None, "two or more"),
        ([parts[0], parts[0]], None, "is given twice"),
        (parts, "red", "valid: success"),
        ([parts[0], tmp_path / "none"], None, "none does not exist"),
        (
            [parts[0], camera],
            None,
            r"parts0/a and .*camera differ: observation/front/pixels is absent in the "
            r"first, uint8 \[8, 8, 3\] in the second",
        ),
        ([plain], "success", "plain has no success in episode_metadata"),
        ([tmp_path / "failed"], "success", "none of the 1 episodes has success"),
        ([parts[0], short], None, "damaged: .*truncated"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            merge.merge(directories, out, where, progress=False)
        assert "\n" not in str(error.value)
        assert set(tmp_path.iterdir()) == before
    out.mkdir()
    with pytest.raises(ValueError, match="out exists"):
        merge.merge(parts, out, progress=False)


def test_the_command(parts, tmp_path):
    flags = (*parts, f"--out={tmp_path / 'all'}", "--where=success")
    run = commands.run("launchers.merge", *flags)
    assert run.returncode == 0, run.stderr
    assert f"{parts[0]}: 3 of 5 episodes" in run.stdout
    assert "5 episodes, 60 control steps" in run.stdout
    assert "episode/s" in run.stderr
    again = commands.run("launchers.merge", *flags)
    assert again.returncode == 2
    (line,) = again.stderr.strip().splitlines()
    assert line.endswith("all exists; give another directory")
