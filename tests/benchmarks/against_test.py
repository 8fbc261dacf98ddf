"""Trees of other commits, and how two of them are measured in turn."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from benchmarks import against

ROOT = pathlib.Path(__file__).resolve().parents[2]
_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "t"), ("EMAIL", "t@t"))
}
# What the real one does in minutes: an environment whose Python is this one.
_BOOTSTRAP = f"""\
echo "installing"
echo once >> bootstrapped
mkdir -p .venv/bin && ln -sf {sys.executable} .venv/bin/python
"""
_SCRIPT = """\
import thing

def make(factor):
    log = open(thing.__file__ + ".log", "w", buffering=1)
    def measure(seed):
        print("a library talks")
        print(seed, file=log)
        return {"steps": thing.STEPS * factor, "cpu_seconds": 1, "wall_seconds": 2}
    return measure
"""


def _git(root, *arguments):
    run = subprocess.run(
        ["git", "-C", root, *arguments],
        env=os.environ | _IDENTITY,
        check=True,
        capture_output=True,
        text=True,
    )
    return run.stdout.strip()


def _commit(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    _git(root, "add", ".")
    _git(root, "commit", "-q", "-m", "m")
    return _git(root, "rev-parse", "HEAD")


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    _git(root, "init", "-q")
    return root


@pytest.fixture
def first(root):
    """The hash of a commit that asks for the packages of the tree that follows it."""
    first = _commit(
        root,
        requirements_lock="a==1",
        scripts__bootstrap_sh=_BOOTSTRAP,
        thing_py="STEPS = 10",
    )
    _commit(root, thing_py="STEPS = 20")
    return first


def test_the_same_packages_need_no_environment(root, first, tmp_path):
    side = against.build(first[:8], root, tmp_path / "cache")
    assert side.python == sys.executable
    assert side.directory == tmp_path / "cache" / first
    assert (side.directory / "thing.py").read_text() == "STEPS = 10"
    assert not (side.directory / "bootstrapped").exists()


def test_a_tree_is_kept(root, first, tmp_path):
    side = against.build(first, root, tmp_path)
    (side.directory / "mark").touch()
    assert against.build("HEAD~", root, tmp_path).directory == side.directory
    assert (side.directory / "mark").exists()


def test_a_tree_that_was_cut_short_is_not_taken(root, first, tmp_path, monkeypatch):
    def cut_short(*_, **__):
        raise KeyboardInterrupt

    git = against._git
    monkeypatch.setattr(
        against,
        "_git",
        lambda root, *a: cut_short() if a[0] == "archive" else git(root, *a),
    )
    with pytest.raises(KeyboardInterrupt):
        against.build(first, root, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_other_packages_are_installed_aside(root, first, tmp_path):
    (root / "requirements.lock").write_text("a==2")
    for _ in range(2):  # its own script decides whether there is something to do
        side = against.build(first, root, tmp_path)
    assert side.python == str(side.directory / ".venv/bin/python")
    assert (side.directory / "bootstrapped").read_text() == "once\nonce\n"


@pytest.mark.parametrize("name", ["nonsense", "--all", "0" * 40, "HEAD:thing.py"])
def test_no_such_commit(root, first, name, tmp_path):
    with pytest.raises(ValueError, match=f"no commit '{name}'.*valid"):
        against.build(name, root, tmp_path)


def test_a_commit_that_cannot_be_built(root, tmp_path):
    bad = "echo 'downloading' >&2; echo 'error: no Python 3.10' >&2; exit 2"
    commit = _commit(root, requirements_lock="a", scripts__bootstrap_sh=bad)
    (root / "requirements.lock").write_text("b")
    with pytest.raises(ValueError, match="cannot be built: no Python 3.10$"):
        against.build(commit, root, tmp_path)


def test_a_commit_before_there_was_a_bootstrap(root, tmp_path):
    commit = _commit(root, requirements_lock="a")
    with pytest.raises(ValueError, match="cannot be built: it has no scripts/boot"):
        against.build(commit, root, tmp_path)


@pytest.fixture
def sides(root, first, tmp_path):
    new = against.Side("new", root, sys.executable)
    return new, against.build(first, root, tmp_path / "cache")


def test_each_side_has_its_own_code_and_the_same_seeds(sides, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    rounds = against.alternate(sides, script, {"factor": 3}, 0.0, 7, min_rounds=3)
    assert [[r["steps"] for r in its] for its in rounds] == [[60] * 3, [30] * 3]
    for side in sides:  # the first is for warmth
        log = (side.directory / "thing.py.log").read_text()
        assert log.split() == ["7", "7", "8", "9"]


def test_a_side_that_fails(sides, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT + "\nassert thing.STEPS > 15, 'too old'\n")
    commit = sides[1].name
    with pytest.raises(ValueError, match=f"^{commit} cannot run it: .*too old$"):
        against.alternate(sides, script, {"factor": 1}, 0.0)


def test_figures():
    def rounds(*seconds):
        return [{"steps": 6, "cpu_seconds": s, "wall_seconds": 2 * s} for s in seconds]

    figures = against.summarise(rounds(1, 1, 1, 3), rounds(1, 2, 3, 3))
    assert figures == {
        "ratio": pytest.approx(9 / 6),
        "ratio_low": 1.0,
        "ratio_high": 2.25,
        "ratio_wall": pytest.approx(9 / 6),
        "steps_per_cpu_second": 4.0,
        "against_steps_per_cpu_second": pytest.approx(24 / 9),
        "alternated_steps_per_second": 2.0,
        "against_steps_per_second": pytest.approx(12 / 9),
        "rounds": 4,
    }


def _environment(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.environment", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_the_command_names_a_commit_that_is_not_there():
    run = _environment("--against=nonsense")
    assert run.returncode == 2
    assert run.stderr.startswith("error: no commit 'nonsense'")
    assert run.stderr.count("\n") == 1


def test_the_command_does_not_compare_settings_that_others_lack():
    run = _environment("--against=HEAD", "--physics=timestep=0.001")
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "--physics" in run.stderr


def test_the_round_of_the_environment_counts_its_steps():
    round_ = ROOT / "benchmarks" / "against_environment.py"
    rounds = against.alternate(
        [against.ours()], round_, {"seed": 0}, seconds=0.0, min_rounds=1
    )
    assert rounds[0][0]["steps"] == 50
    assert rounds[0][0]["cpu_seconds"] > 0
    assert json.dumps(rounds)
