"""The bootstrap with stubs for Python, pip and uv, and what the lock holds.

Each test copies Makefile and scripts/ beside a small lock and runs them with a PATH
that holds a few system tools and stubs only. A stub writes what it was asked to
calls.log.
"""

from __future__ import annotations

import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_TOOLS = """
    bash cat chmod cp dirname find flock grep id make mkdir rm sed sh sha256sum sort
    touch uname
"""

# Answers the bootstrap's probe, and stands in for venv, pip and the import check.
_PYTHON = """#!/usr/bin/env bash
asked="$*"
case "$asked" in
  "- "*) {probe} ;;
  "-m venv --clear .venv")
    echo "venv" >>calls.log
    rm -rf .venv
    mkdir -p .venv/bin .venv/lib/python3.10/site-packages
    cp "$0" .venv/bin/python ;;
  "-m pip install "*)
    echo "pip ${{asked##*--no-build-isolation }}" >>calls.log
    [[ ! -e pip_fails ]] ;;
  "scripts/check_gl.py") [[ ! -e no_gl ]] ;;
  "-c import reverb"*) [[ ! -e no_reverb ]] || {{ echo "no reverb"; exit 1; }} ;;
  *) ;;
esac
"""
_UV = """#!/usr/bin/env bash
asked="$*"
case "$1 $2" in
  "venv --quiet")
    echo "uv venv" >>calls.log
    mkdir -p .venv/bin
    cp "$5" .venv/bin/python ;;
  "pip install") echo "uv pip ${asked##*--compile-bytecode }" >>calls.log ;;
  "python find") [[ -n ${UV_MANAGED:-} ]] && echo "$UV_MANAGED" ;;
esac
"""
_GOOD = 'echo "ok $0"'
# Asks this interpreter the real question, and answers in the stub's own name.
_REAL = f'said=$("{sys.executable}" "$@"); echo "${{said%% *}} $0"'
_BROKEN = "exit 127"
_LOCK = "absl-py==1.4.0\n    # via tree\npip==26.3\nsetuptools==80.10.2\n"
_BUILDERS = "pip pip==26.3 setuptools==80.10.2"
_LOCKED = "pip -r requirements.lock"


class Clone:
    """A copy of the bootstrap in a directory, and a PATH made for it."""

    def __init__(self, directory: pathlib.Path):
        self.root = directory / "clone"
        self.bin = directory / "bin"
        self.home = directory / "home"
        for folder in (self.root, self.bin, self.home):
            folder.mkdir()
        shutil.copytree(_ROOT / "scripts", self.root / "scripts")
        shutil.copy(_ROOT / "Makefile", self.root)
        (self.root / "requirements.lock").write_text(_LOCK)
        for tool in _TOOLS.split():
            path = shutil.which(tool)
            assert path is not None, tool
            (self.bin / tool).symlink_to(path)

    def stub(self, path: str | pathlib.Path, text: str) -> pathlib.Path:
        path = self.bin / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def python(self, path: str | pathlib.Path, probe: str = _GOOD) -> pathlib.Path:
        return self.stub(path, _PYTHON.format(probe=probe))

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            command or ("bash", "scripts/bootstrap.sh"),
            cwd=self.root,
            env={"PATH": str(self.bin), "HOME": str(self.home), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def calls(self) -> list[str]:
        log = self.root / "calls.log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def clone(tmp_path: pathlib.Path) -> Clone:
    return Clone(tmp_path)


def _assert_refused(result: subprocess.CompletedProcess, *words: str) -> None:
    assert result.returncode == 2, result
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("error: ")
    for word in words:
        assert word in result.stderr


def _processor_seconds() -> float:
    """Returns the CPU time of children, which a busy machine does not stretch."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_no_python_is_one_line_and_exit_code_2(clone):
    _assert_refused(clone.run(), "Python 3.10 not found", "make PYTHON=")


def test_python_that_does_not_run_is_not_found(clone):
    clone.python("python3.10", probe=_BROKEN)
    _assert_refused(clone.run(), "Python 3.10 not found")


def test_probe_accepts_the_interpreter_of_these_tests(clone):
    python = clone.python("python3.10", probe=_REAL)
    result = clone.run()
    assert result.returncode == 0, result
    assert f"with {python}" in result.stdout


def test_other_versions_are_passed_over(clone):
    clone.python("python3", probe="echo version 3.12")
    _assert_refused(clone.run(), "Python 3.10 not found")


def test_python_without_shared_library_is_one_line_and_exit_code_2(clone):
    clone.python("python3.10", probe="echo static /opt/bin/python3.10")
    _assert_refused(
        clone.run(), "/opt/bin/python3.10", "no shared libpython3.10.so.1.0"
    )


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ("echo version 3.12", "is Python 3.12"),
        (_BROKEN, "does not run"),
        (None, "is no command"),
    ],
)
def test_wrong_named_python_is_one_line_and_exit_code_2(clone, probe, words):
    clone.python("python3.10")  # is not what was asked for
    if probe is not None:
        clone.python("mine", probe)
    _assert_refused(clone.run(PYTHON="mine"), "PYTHON=mine", words)


def test_other_platform_is_one_line_and_exit_code_2(clone):
    clone.python("python3.10")
    (clone.bin / "uname").unlink()
    clone.stub("uname", "#!/usr/bin/env bash\necho Darwin arm64\n")
    _assert_refused(clone.run(), "Darwin arm64 is not supported")


def test_first_run_installs_and_second_is_quick(clone):
    clone.python("python3.10")
    first = clone.run()
    assert first.returncode == 0, first
    assert clone.calls == ["venv", _BUILDERS, _LOCKED]

    before = _processor_seconds()
    second = clone.run("make", "venv")
    assert _processor_seconds() - before < 1.0
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert clone.calls == ["venv", _BUILDERS, _LOCKED]


def test_changed_lock_installs_into_the_same_environment(clone):
    clone.python("python3.10")
    clone.run()
    with (clone.root / "requirements.lock").open("a") as lock:
        lock.write("zipp==4.1.2\n")
    assert clone.run().returncode == 0
    assert clone.calls == ["venv", *[_BUILDERS, _LOCKED] * 2]


def test_cuda_comes_after_the_lock_and_stays_until_it_is_given_up(clone):
    clone.python("python3.10")
    (clone.root / "requirements-gpu.txt").write_text("tensorflow==2.8.4\n")
    locked = ["venv", _BUILDERS, _LOCKED]
    assert clone.run("make", "venv", "GPU=1").returncode == 0
    assert clone.calls == [*locked, "pip -r requirements-gpu.txt"]
    assert clone.run("make", "venv").returncode == 0  # as it is
    assert len(clone.calls) == 4
    assert clone.run(GPU="0").returncode == 0
    assert clone.calls[4:] == locked
    assert clone.run().returncode == 0
    assert len(clone.calls) == 7
    _assert_refused(clone.run(GPU="yes"), "GPU=yes; valid: 0, 1")


@pytest.mark.parametrize("fault", ["pip_fails", "no_reverb"])
def test_failed_install_is_started_again_from_nothing(clone, fault):
    clone.python("python3.10")
    (clone.root / fault).touch()
    assert clone.run().returncode != 0
    assert not (clone.root / ".venv" / "installed").exists()

    (clone.root / fault).unlink()
    before = len(clone.calls)
    assert clone.run().returncode == 0
    assert clone.calls[before:] == ["venv", _BUILDERS, _LOCKED]


def test_packages_that_do_not_load_are_named(clone):
    clone.python("python3.10")
    (clone.root / "no_reverb").touch()
    _assert_refused(clone.run(), "do not load: no reverb")


def test_environment_whose_python_is_gone_is_made_again(clone):
    clone.python("python3.10")
    clone.run()
    (clone.root / ".venv" / "bin" / "python").unlink()
    assert clone.run().returncode == 0
    assert clone.calls.count("venv") == 2


def test_pyenv_version_is_found_behind_a_failing_shim(clone):
    clone.python("python3.10", probe=_BROKEN)
    version = clone.home / ".pyenv" / "versions" / "3.10.13" / "bin" / "python3.10"
    clone.python(version, probe=f"echo ok {version}")
    result = clone.run()
    assert result.returncode == 0, result
    assert f"with {version}" in result.stdout


def test_uv_python_is_found_and_uv_installs(clone):
    managed = clone.home / "managed" / "python3.10"
    clone.python(managed, probe=f"echo ok {managed}")
    clone.stub("uv", _UV)
    result = clone.run(UV_MANAGED=str(managed))
    assert result.returncode == 0, result
    assert clone.calls == [
        "uv venv",
        f"uv {_BUILDERS}",
        f"uv {_LOCKED}",
    ]


def test_library_that_python_does_not_load_is_loaded_at_start_up(clone):
    python = clone.bin / "python3.10"
    library = "/opt/my python/lib/libpython3.10.so.1.0"
    clone.python(python, probe=f"printf 'preload {python}\\t{library}\\n'")
    result = clone.run()
    assert result.returncode == 0, result
    packages = clone.root / ".venv" / "lib" / "python3.10" / "site-packages"
    start_up = (packages / "helms_libpython.pth").read_text()
    assert start_up == f'import ctypes; ctypes.CDLL("{library}")\n'


def test_no_gl_is_one_line_and_goes_on(clone):
    clone.python("python3.10")
    (clone.root / "no_gl").touch()
    result = clone.run()
    assert result.returncode == 0, result
    (line,) = [line for line in result.stdout.splitlines() if "OpenGL" in line]
    assert "libegl1" in line and "libosmesa6" in line
    assert clone.run().stdout == ""


def test_root_with_apt_installs_what_gl_needs(clone):
    clone.python("python3.10")
    (clone.root / "no_gl").touch()
    (clone.bin / "id").unlink()
    clone.stub("id", "#!/usr/bin/env bash\necho 0\n")
    clone.stub("apt-get", '#!/usr/bin/env bash\necho "apt $*" >>calls.log\nrm no_gl\n')
    result = clone.run()
    assert result.returncode == 0, result
    assert "no OpenGL" not in result.stdout
    assert clone.calls[-1].endswith("libegl1 libgl1")


def test_make_alone_lists_the_targets(clone):
    result = clone.run("make")
    assert result.returncode == 0, result
    targets = "demo test test-doors test-slow lint format lock clean"
    for target in targets.split():
        assert re.search(rf"^  {target} ", result.stdout, re.MULTILINE)


def test_check_gl_says_no_for_a_back_end_that_is_not_there():
    result = subprocess.run(
        [sys.executable, str(_ROOT / "scripts" / "check_gl.py")],
        env={**os.environ, "MUJOCO_GL": "nothing"},
        check=False,
    )
    assert result.returncode == 1


def test_gl_tests_are_skipped_with_a_reason_where_nothing_renders(clone):
    (clone.root / "tests").mkdir()
    shutil.copy(_ROOT / "tests" / "conftest.py", clone.root / "tests")
    shutil.copy(_ROOT / "pyproject.toml", clone.root)
    for name in ("agents", "datasets", "environments", "filesystem", "launchers"):
        (clone.root / name).symlink_to(_ROOT / name)
    (clone.root / "tests" / "some_test.py").write_text(
        "import pytest\n\n@pytest.mark.gl\ndef test_a(): assert False\n\n"
        "def test_b(): pass\n"
    )
    result = clone.run(sys.executable, "-m", "pytest", "-rs", MUJOCO_GL="nothing")
    assert result.returncode == 0, result.stdout
    assert "1 passed, 1 skipped" in result.stdout
    assert "no OpenGL: install libegl1" in result.stdout


def _pins(name: str) -> dict[str, str]:
    """Returns the version of each package, with those of a file that is included."""
    lines = (_ROOT / name).read_text().splitlines()
    stripped = [line.split("#")[0].strip() for line in lines]
    pins: dict[str, str] = {}
    for line in filter(None, stripped):
        if line.startswith("-r "):
            pins |= _pins(line.removeprefix("-r "))
            continue
        match = re.fullmatch(r"([a-z0-9-]+)==([0-9][0-9A-Za-z.]*)", line)
        assert match, f"{name}: {line!r} is no exact pin"
        pins[match[1]] = match[2]
    return pins


def test_lock_holds_every_requirement_at_its_pin():
    required, locked = _pins("requirements.txt"), _pins("requirements.lock")
    assert required.items() <= locked.items()


def test_the_environment_s_list_holds_its_requirements_and_no_learning():
    text = (_ROOT / "requirements-environment.txt").read_text()
    assert all(
        f"\n{name}=={pin}\n" in text
        for name, pin in _pins("requirements-environment.in").items()
    )
    assert not re.search(r"^(dm-acme|dm-reverb|jax|tensorflow|torch)\b", text, re.M)


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-environment.in", "requirements-gpu.txt"]
)
def test_every_requirement_has_its_reason(name):
    for line in (_ROOT / name).read_text().splitlines():
        assert not line or "#" in line, line


@pytest.mark.parametrize(
    "name",
    [
        "requirements.txt",
        "requirements.lock",
        "requirements-environment.in",
        "requirements-environment.txt",
        "requirements-gpu.txt",
    ],
)
def test_requirements_name_no_host(name):
    text = (_ROOT / name).read_text()
    assert not re.search(r"://|--index|--extra-index|--find-links| @ ", text)
