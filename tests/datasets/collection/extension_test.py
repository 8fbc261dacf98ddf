"""Extension of a finished data set: content, refusal, and kills at any moment."""

import dataclasses
import os
import shutil
import signal
import time

import pytest

from datasets.collection import collect, collection_run, extension
from datasets.rlds import files, schema
from tests.datasets.collection import collect_kills_test
from tests.helpers.fake_collections import (
    FILES,
    SETTINGS,
    SUCCESSES,
    check_content,
    check_whole,
    collect_fakes,
    expected_episodes,
)

SHORT = dataclasses.replace(SETTINGS, episodes=8)  # two files of three, one of two


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    directory = tmp_path_factory.mktemp("short") / "data"
    collect_fakes(directory, SHORT)
    return directory


@pytest.fixture(scope="module")
def pending(short, tmp_path_factory):
    """A finished extension whose files are not in place."""
    directory = tmp_path_factory.mktemp("pending") / "data"
    shutil.copytree(short, directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extension, "adopt", lambda _: None)
        patch.setattr(extension, "clean_up", lambda *_: None)
        # No episode of the file that was not full is collected again.
        collect_fakes(directory, fault="raise", faulty_seed=SETTINGS.episode_seed(7))
    return directory


def test_a_finished_extension_changes_nothing_until_it_is_adopted(pending):
    check_content(pending, SHORT)
    assert not collect.is_complete(pending, SETTINGS)


@pytest.mark.parametrize("commits", (0, 3, 6, 8, 9))
def test_a_kill_while_files_are_put_in_place(pending, tmp_path, monkeypatch, commits):
    directory = shutil.copytree(pending, tmp_path / "data")
    commit, count = files.commit, iter(range(commits))

    def killed(*arguments):
        if next(count, None) is None:
            raise KeyboardInterrupt
        commit(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(files, "commit", killed)
        if commits < len(FILES) + 5:
            with pytest.raises(KeyboardInterrupt):
                extension.adopt(directory)
        else:
            extension.adopt(directory)
    collect_fakes(directory, fault="raise")  # no episode is collected again
    assert collect.is_complete(directory, SETTINGS)
    assert len(list(directory.iterdir())) == len(FILES) + 5
    if commits == 6:
        check_whole(directory, SETTINGS)


@pytest.mark.slow
def test_successes_are_extended_after_a_worker_died(tmp_path):
    few = dataclasses.replace(SUCCESSES, episodes=4)
    collect_fakes(tmp_path, few)
    seeds = [schema.summary(e).seed for e in expected_episodes(SUCCESSES)]
    with pytest.raises(collection_run.CollectionError):
        collect_fakes(tmp_path, SUCCESSES, fault="kill", faulty_seed=seeds[-1])
    check_content(tmp_path, few)
    collect_fakes(tmp_path, SUCCESSES, fault="raise", faulty_seed=seeds[3])
    check_whole(tmp_path, SUCCESSES)


@pytest.mark.slow
def test_kill_9_of_an_extension(short, tmp_path):
    directory = shutil.copytree(short, tmp_path / "data")
    longer = dataclasses.replace(SETTINGS, episodes=40)
    process = collect_kills_test.start(directory, longer)
    last = directory / ".extension" / "helms_stacking-train.tfrecord-00004-of-00014"
    while not last.exists():
        time.sleep(0.005)
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    check_content(directory, SHORT)
    with pytest.raises(ValueError, match="extended to episodes 40, not 41"):
        collect_fakes(directory, dataclasses.replace(SETTINGS, episodes=41))
    collect_fakes(directory, longer)
    check_whole(directory, longer)


def test_an_unfinished_data_set_is_not_extended(short, tmp_path):
    directory = shutil.copytree(short, tmp_path / "data")
    (directory / files.DATASET_INFO).unlink()
    with pytest.raises(ValueError, match="is to hold episodes 8, not 14, and is not"):
        collect_fakes(directory)


def test_files_that_cannot_be_linked_are_copied(short, tmp_path, monkeypatch):
    directory = shutil.copytree(short, tmp_path / "data")

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    extension.begin(directory, SETTINGS)
    assert len(list((directory / ".extension").glob("*-of-00005"))) == 2
