"""What the type checker leaves out, by pyproject.toml: tests alone, fewer each time."""

import collections
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIG = (ROOT / "pyproject.toml").read_text()
_ENTRY = r"# (\S+): (\d+) errors?\nignore_errors = true\nmodule = \[(.*?)\]"
# Folder, number of errors and modules of each entry of the list.
LISTED = [
    (folder, int(number), re.findall(r'"([\w.]+)"', modules))
    for folder, number, modules in re.findall(_ENTRY, CONFIG, re.DOTALL)
]


def _path(module):
    return f"{module.replace('.', '/')}.py"


def test_only_tests_are_left_out_each_by_its_name():
    # Nothing is left out in another form, which would be overlooked here.
    assert len(LISTED) == CONFIG.count("ignore_errors") > 0
    assert "disable_error_code" not in CONFIG
    for folder, _, modules in LISTED:
        assert folder.startswith("tests/"), f"{folder} has to be clean"
        for module in modules:
            assert _path(module).startswith(f"{folder}/"), module
            assert (ROOT / _path(module)).is_file(), module


@pytest.mark.parametrize(
    "folder",
    [
        "agents",
        "benchmarks",
        "datasets",
        "environments",
        "examples",
        "filesystem",
        "launchers",
        "scripts",
    ],
)
def test_no_file_leaves_itself_out(folder):
    for path in (ROOT / folder).rglob("*.py"):
        assert not re.search(r"^\s*#\s*mypy:", path.read_text(), re.MULTILINE), path


@pytest.mark.slow
def test_what_is_left_out_has_as_many_errors_as_it_says(tmp_path):
    config = tmp_path / "mypy.toml"
    config.write_text(CONFIG.replace("ignore_errors = true", "ignore_errors = false"))
    run = subprocess.run(
        [sys.executable, "-m", "mypy", f"--config-file={config}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    errors = collections.Counter(
        re.findall(r"^(\S+\.py):\d+: error", run.stdout, re.MULTILINE)
    )
    listed = {_path(module) for _, _, modules in LISTED for module in modules}
    assert errors.keys() == listed, run.stdout + run.stderr
    for folder, number, modules in LISTED:
        assert sum(errors[_path(module)] for module in modules) == number, folder
