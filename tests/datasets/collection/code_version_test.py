"""The version of the code, with git and without."""

import subprocess

from datasets.collection import code_version


def test_without_git_it_is_a_hash_of_the_sources(monkeypatch):
    def fail(*args, **kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", fail)
    kind, _, digits = code_version.describe().partition("-")
    assert kind == "sources" and len(digits) == 12
    assert int(digits, 16)


def test_the_hash_is_of_names_and_contents(tmp_path):
    (tmp_path / "datasets").mkdir()
    file = tmp_path / "datasets" / "a.py"
    hashes = set()
    for content in ("x = 1\n", "x = 2\n"):
        file.write_text(content)
        hashes.add(code_version.hash_sources(tmp_path))
    (tmp_path / "datasets" / "notes.txt").write_text("of no matter")
    hashes.add(code_version.hash_sources(tmp_path))
    file.rename(tmp_path / "datasets" / "b.py")
    hashes.add(code_version.hash_sources(tmp_path))
    assert len(hashes) == 3
    below = tmp_path / "datasets" / "room"
    below.mkdir()
    for content in ("x = 3\n", "x = 4\n"):
        (below / "c.py").write_text(content)
        hashes.add(code_version.hash_sources(tmp_path))
    assert len(hashes) == 5
