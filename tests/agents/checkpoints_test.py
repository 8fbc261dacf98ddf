"""The newest checkpoint is found in any directory, or said in one line why not."""

import os
import pathlib
import shutil

import pytest
import tensorflow as tf

from agents import checkpoints


@pytest.fixture(name="directory", params=["plain", "run[a,b]", "run{c}", "*?"])
def _directory(request, tmp_path):
    """Two checkpoints, of a variable that is 1 and 2."""
    # TensorFlow writes into no directory with `[` in place of a plain one: it is moved.
    plain = tmp_path / "written"
    value = tf.Variable(0.0)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(value=value), str(plain), max_to_keep=2
    )
    for number in (1.0, 2.0):
        value.assign(number)
        manager.save()
    directory = tmp_path / request.param
    shutil.copytree(plain, directory)
    return directory


def _value(path):
    value = tf.Variable(0.0)
    with checkpoints.reading(path):
        tf.train.Checkpoint(value=value).restore(path).assert_consumed()
    return float(value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["checkpoint", "ckpt-2.index"])
def test_a_pipe_is_refused(name, directory):
    (directory / name).unlink()
    os.mkfifo(directory / name)
    with pytest.raises(ValueError, match=f"{name} is no file"):
        checkpoints.newest(directory)


def test_the_newest_is_found_whatever_the_directory_is_called(directory):
    found = checkpoints.newest(directory)
    assert found is not None and pathlib.Path(found).resolve() == directory / "ckpt-2"
    assert _value(found) == 2.0


def test_a_directory_without_checkpoints_has_none(tmp_path):
    assert checkpoints.newest(tmp_path) is None
    assert checkpoints.newest(tmp_path / "missing") is None


@pytest.mark.parametrize("directory", ["plain"], indirect=True)
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("checkpoint", None, ("ckpt-1, ckpt-2", "missing or damaged")),
        ("checkpoint", b"", ("ckpt-1, ckpt-2", "missing or damaged")),
        ("checkpoint", b"\xff\x00nonsense", ("missing or damaged",)),
        ("ckpt-2.index", None, ("ckpt-2.index", "missing", "ckpt-1 beside it")),
        ("ckpt-2.data-00000-of-00001", None, ("ckpt-2.data", "missing")),
    ],
)
def test_what_is_missing_is_named(directory, name, content, words):
    (directory / name).unlink()
    if content is not None:
        (directory / name).write_bytes(content)
    before = sorted(path.name for path in directory.iterdir())
    with pytest.raises(ValueError, match="nothing was changed") as error:
        checkpoints.newest(directory)
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in directory.iterdir()) == before


@pytest.mark.parametrize("directory", ["plain"], indirect=True)
@pytest.mark.parametrize("name", ["ckpt-2.index", "ckpt-2.data-00000-of-00001"])
@pytest.mark.parametrize("how", ["cut", "flip", "empty"])
def test_what_is_damaged_is_named_with_the_checkpoint_before(directory, name, how):
    path = directory / name
    content = bytearray(path.read_bytes())
    if how == "flip":
        for i in range(len(content)):
            content[i] ^= 255
    path.write_bytes(
        {"cut": content[: len(content) // 2], "empty": b""}.get(how, content)
    )
    with pytest.raises(ValueError, match="cannot be read") as error:
        _value(checkpoints.newest(directory))
    assert "ckpt-2" in str(error.value) and "ckpt-1 beside it" in str(error.value)
