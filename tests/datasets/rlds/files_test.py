"""What is no file is never waited for, and what is unfinished is removed."""

import os

import pytest

from datasets.rlds import files

pytestmark = pytest.mark.timeout(20)  # who opens a pipe waits for ever


def _pipe(path):
    os.mkfifo(path)
    return path


def _link_to_a_device(path):
    path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("make", [_pipe, _link_to_a_device])
def test_what_is_no_regular_file_is_refused(make, tmp_path):
    path = make(tmp_path / "manifest.json")
    with pytest.raises(ValueError, match=r"manifest\.json is not readable.*regular"):
        files.read_json(path)
    with pytest.raises(ValueError, match="regular"):
        files.read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json", "x.tfrecord"])
def test_a_data_set_with_a_pipe_is_refused(name, tmp_path):
    if name != files.DATASET_INFO:
        (tmp_path / files.DATASET_INFO).write_text("{}")
    (tmp_path / files.LOGS).mkdir()
    _pipe(tmp_path / name)
    with pytest.raises(ValueError, match=f"holds {name}, which is no file"):
        files.check_dataset(tmp_path)


def test_a_link_to_a_file_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}')
    (tmp_path / "b.json").symlink_to("a.json")
    assert files.read_json(tmp_path / "b.json") == {"a": 1}


def test_only_unfinished_files_are_removed(tmp_path):
    below = tmp_path / "logs" / "learner"
    below.mkdir(parents=True)
    kept = [tmp_path / ".tmp.mine", tmp_path / "tmp.7.a", below / "logs.csv"]
    for path in kept:
        path.write_text("kept")
    (tmp_path / ".tmp.12.metadata").mkdir()
    (tmp_path / ".tmp.12.metadata" / "features.json").write_text("left")
    left = below / ".tmp.345.logs.csv"
    left.write_text("left")
    files.remove_temporaries(tmp_path)
    assert not (tmp_path / ".tmp.12.metadata").exists() and left.exists()
    files.remove_temporaries(tmp_path, below=True)
    assert not left.exists() and all(path.read_text() == "kept" for path in kept)
