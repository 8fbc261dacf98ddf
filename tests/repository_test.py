"""The files around the code agree with it: workflow, hooks, citation, guides."""

import datetime
import os
import pathlib
import re

import yaml

_ROOT = pathlib.Path(__file__).resolve().parents[1]
# https://github.com/citation-file-format/citation-file-format/blob/1.2.0/schema.json
_CFF_REQUIRED = {"authors", "cff-version", "message", "title"}
_REFERENCE_REQUIRED = {"authors", "title", "type"}


def _read(name):
    return (_ROOT / name).read_text()


def _targets():
    return set(re.findall(r"^([a-z-]+):", _read("Makefile"), re.M))


def test_the_workflow_runs_the_commands_of_a_developer():
    (path,) = (_ROOT / ".github" / "workflows").iterdir()
    jobs = yaml.safe_load(path.read_text())["jobs"]
    runs = [
        step["run"] for job in jobs.values() for step in job["steps"] if "run" in step
    ]
    assert "make lint" in runs and "lint" in _targets()
    assert ".ci/run" in runs and os.access(_ROOT / ".ci" / "run", os.X_OK)
    lines = _read(".ci/run").splitlines()
    assert {"make test", "make test-doors"} <= set(lines)
    assert {"test", "test-doors"} <= _targets()


def test_the_hooks_run_the_linter_of_make():
    (repository,) = yaml.safe_load(_read(".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local"  # no second place for ruff's version
    entries = [hook["entry"].split()[:2] for hook in repository["hooks"]]
    assert entries == [[".venv/bin/ruff", "check"], [".venv/bin/ruff", "format"]]
    for _, command in entries:
        assert f"-m ruff {command}\n" in _read("Makefile")


def test_the_citation_is_complete_and_of_this_version():
    citation = yaml.safe_load(_read("CITATION.cff"))
    assert citation.keys() >= _CFF_REQUIRED
    assert citation["cff-version"] == "1.2.0"
    assert f'version = "{citation["version"]}"' in _read("pyproject.toml")
    (paper,) = citation["references"]
    assert paper.keys() >= _REFERENCE_REQUIRED
    assert [author["family-names"] for author in paper["authors"]][::10] == [
        "Rao",
        "Hadsell",
    ]
    heading = f"## [{citation['version']}] - {citation['date-released']}"
    assert heading in _read("CHANGELOG.md")


def test_the_changelog_has_versions_and_kinds():
    text = _read("CHANGELOG.md")
    unreleased, *versions = re.findall(r"^## \[(.+?)\](?: - (.+))?$", text, re.M)
    assert unreleased == ("Unreleased", "")
    dates = [datetime.date.fromisoformat(date) for _, date in versions]
    assert dates == sorted(dates, reverse=True)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.M)) <= kinds


def test_what_contributing_names_exists():
    text = _read("CONTRIBUTING.md")
    paths = {
        path
        for path in re.findall(r"`([\w./-]+)`", text)
        if "/" in path and "NAME" not in path and not path.startswith("runs/")
    }
    assert len(paths) > 15
    missing = [
        p for p in paths if not (_ROOT / p).exists() and p.split("/")[0] != "HeLMS"
    ]
    assert missing == []
    for target in re.findall(r"make ([a-z-]+)", text):
        assert target in _targets()
    for module in re.findall(r"-m ((?:launchers|benchmarks|examples)\.\w+)", text):
        if not module.endswith("NAME"):
            assert (_ROOT / f"{module.replace('.', '/')}.py").exists(), module


def test_every_test_is_in_a_path_that_pytest_is_told_of(pytestconfig):
    named = pytestconfig.getini("testpaths")
    paths = {path for name in named for path in _ROOT.glob(name)}
    for path in (_ROOT / "tests").rglob("*_test.py"):
        assert not paths.isdisjoint((path, *path.parents)), path
