"""Files and directories are whole or not there, whatever happens meanwhile."""

import json

import pytest

from launchers.common import atomic_files


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_appears_when_it_is_whole(tmp_path, durable):
    path = tmp_path / "folder" / "video.mp4"
    with atomic_files.aside(path, durable) as aside:
        aside.write_text("whole")
        assert aside.suffix == ".mp4" and aside.name.startswith(".")
        assert not path.exists()
    assert path.read_text() == "whole"
    with pytest.raises(KeyError), atomic_files.aside(path, durable) as aside:
        aside.write_text("half")
        raise KeyError
    assert path.read_text() == "whole"
    assert [p.name for p in path.parent.iterdir()] == ["video.mp4"]


def test_json_is_finite(tmp_path):
    path = tmp_path / "a.json"
    atomic_files.write_json(path, {"a": [1.5, None]})
    assert atomic_files.read_json(path) == {"a": [1.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic_files.write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": [1.5, None]}
    for text, message in (("{", "is not readable"), ("[]", "does not hold an object")):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            atomic_files.read_json(path)


def test_a_directory_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "tree"
    with pytest.raises(KeyError), atomic_files.new_directory(path):
        raise KeyError
    assert not list(tmp_path.iterdir())
    with atomic_files.new_directory(path) as directory:
        (directory / "file").write_text("first")
        assert not path.exists()
    with atomic_files.new_directory(path) as directory:  # slower than another process
        (directory / "file").write_text("second")
    assert (path / "file").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["tree"]


def test_a_directory_does_not_replace_a_file(tmp_path):
    (tmp_path / "tree").write_text("a file")
    with pytest.raises(OSError), atomic_files.new_directory(tmp_path / "tree"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["tree"]
