"""Measures this tree and another commit in turns, which makes ratios repeatable.

The other commit is built under `runs/against/COMMIT`, and kept there: its files, and
its own environment (by its `scripts/bootstrap.sh`) where it needs other packages than
this tree. Each side is a child process that loads a script of this tree and the
packages of its own tree, and measures on request: one at a time, both on one core, so
that both see the same load of the machine.

The script defines `make(**settings)`, which returns a function of an int, the round's
seed, that returns the round's `steps`, `cpu_seconds` and `wall_seconds` by name. It
runs with the code of any commit, so it uses only what all of them have.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from launchers.common import atomic_files, onednn

ROOT = pathlib.Path(__file__).resolve().parents[1]
_CACHE = ROOT / "runs" / "against"
_CHILD = pathlib.Path(__file__).with_name("against_child.py")
_LOCK = "requirements.lock"
_BOOTSTRAP = "scripts/bootstrap.sh"
_MIN_ROUNDS = 10

Round = Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Side:
    """A tree and the interpreter that runs it."""

    name: str
    directory: pathlib.Path
    python: str


def ours() -> Side:
    """Returns the working tree of this file, with the current interpreter."""
    return Side("this tree", ROOT, sys.executable)


def resolve(commit: str, root: pathlib.Path = ROOT) -> str:
    """Returns the full hash of a commit; raises ValueError if it does not exist."""
    # A name that starts with a dash is an option to git.
    if not commit.startswith("-"):
        name = f"{commit}^{{commit}}"
        parsed = _git(root, "rev-parse", "--verify", "--quiet", name)
        if parsed.returncode == 0:
            return parsed.stdout.decode().strip()
    raise ValueError(
        f"no commit {commit!r} in this repository; valid: a hash, a branch or a tag "
        "that `git log` knows"
    )


def build(
    commit: str, root: pathlib.Path = ROOT, cache: pathlib.Path | None = None
) -> Side:
    """Makes the tree and the environment of a commit, unless they exist.

    Args:
      commit: git's name of the commit.
      root: root of the repository.
      cache: directory of the trees, one per commit.

    Raises:
      ValueError: in one line, that there is no such commit, or why it cannot be built.
    """
    sha = resolve(commit, root)
    directory = (cache or _CACHE) / sha
    if not directory.exists():
        _extract(sha, root, directory)
    for file in (_LOCK, _BOOTSTRAP):
        if not (directory / file).is_file():
            raise ValueError(f"commit {commit} cannot be built: it has no {file}")
    if (directory / _LOCK).read_bytes() == (root / _LOCK).read_bytes():
        return Side(commit, directory, sys.executable)
    with tempfile.TemporaryFile() as errors:
        # To standard error: a benchmark's own output must end in one line of JSON.
        run = subprocess.run(
            ["bash", _BOOTSTRAP],
            cwd=directory,
            env=_environment(),
            stdout=sys.stderr.fileno(),
            stderr=errors,
        )
        if run.returncode:
            raise ValueError(f"commit {commit} cannot be built: {_last_line(errors)}")
    return Side(commit, directory, str(directory / ".venv" / "bin" / "python"))


def alternate(
    sides: Sequence[Side],
    script: pathlib.Path,
    settings: Mapping[str, Any],
    seconds: float,
    seed: int = 0,
    min_rounds: int = _MIN_ROUNDS,
) -> list[list[Round]]:
    """Runs a script on each side in turns, round by round, for about `seconds`.

    Round r has the seed `seed` + r on every side. A first round is not counted.

    Args:
      sides: two or more sides.
      script: path of a script; see the module's docstring.
      settings: arguments of its `make`; JSON values.
      seconds: approximate time, without the start of the children.
      seed: seed of the first round.
      min_rounds: least number of rounds, however long they take.

    Returns:
      The rounds of each side, the same number for each.

    Raises:
      ValueError: a side failed; the message has the last line of its errors.
    """
    children: list[_Child] = []
    try:
        for side in sides:
            children.append(_Child(side, script, settings))
        rounds: list[list[Round]] = [[] for _ in children]
        for child in children:
            child.round(seed)
        end = time.monotonic() + seconds
        while len(rounds[0]) < min_rounds or time.monotonic() < end:
            number = len(rounds[0])
            order = list(zip(children, rounds, strict=True))
            # The first side alternates, so that no side always follows the other.
            for child, its in order if number % 2 else reversed(order):
                its.append(child.round(seed + number))
    finally:
        for child in children:
            child.close()
    return rounds


def summarise(mine: Sequence[Round], theirs: Sequence[Round]) -> dict[str, float]:
    """Summarises the steps per second of both sides and their ratio.

    Returns:
      `ratio`, the steps per CPU second of `mine` over `theirs`, over all rounds
      together (so that rare events, as resets, count by their time); `ratio_low` and
      `ratio_high`, the quartiles of the rounds' ratios; `ratio_wall`, by the clock;
      steps per CPU second and per second of both; `rounds`.
    """

    def rate(rounds: Sequence[Round], clock: str) -> float:
        return sum(r["steps"] for r in rounds) / sum(r[clock] for r in rounds)

    pairs = zip(mine, theirs, strict=True)
    ratios = [rate([m], "cpu_seconds") / rate([t], "cpu_seconds") for m, t in pairs]
    low, high = np.percentile(ratios, [25, 75])
    cpu, their_cpu = rate(mine, "cpu_seconds"), rate(theirs, "cpu_seconds")
    wall, their_wall = rate(mine, "wall_seconds"), rate(theirs, "wall_seconds")
    return {
        "ratio": cpu / their_cpu,
        "ratio_low": float(low),
        "ratio_high": float(high),
        "ratio_wall": wall / their_wall,
        "steps_per_cpu_second": cpu,
        "against_steps_per_cpu_second": their_cpu,
        "alternated_steps_per_second": wall,
        "against_steps_per_second": their_wall,
        "rounds": len(mine),
    }


class _Child:
    """Process of one side, which measures a round on request."""

    def __init__(self, side: Side, script: pathlib.Path, settings: Mapping[str, Any]):
        self._side = side
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by close
        self._process = subprocess.Popen(
            # With `-c`, imports start from the side's tree, not from this one.
            [side.python, "-c", _CHILD.read_text(), str(script), json.dumps(settings)],
            cwd=side.directory,
            env=_environment() | {"PYTHONPATH": str(side.directory)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # both are pipes
        self._stdin, self._stdout = stdin, stdout

    def round(self, seed: int) -> Round:
        """Measures a round."""
        try:
            self._stdin.write(f"{seed}\n")
            self._stdin.flush()
        except BrokenPipeError:
            pass
        line = self._stdout.readline()
        if not line:
            self._process.wait()
            raise ValueError(
                f"{self._side.name} cannot run it: {_last_line(self._errors)}"
            )
        return json.loads(line)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        # Closing flushes what a failed child has not read, which fails.
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        self._stdout.close()
        self._errors.close()


def _extract(sha: str, root: pathlib.Path, directory: pathlib.Path) -> None:
    """Writes a commit's files to a new directory."""
    archive = _git(root, "archive", "--format=tar", sha)
    if archive.returncode:
        raise ValueError(f"commit {sha} cannot be read: {archive.stderr.decode()}")
    with atomic_files.new_directory(directory) as files:
        subprocess.run(["tar", "-x"], cwd=files, input=archive.stdout, check=True)


def _git(root: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True)
    except FileNotFoundError:
        raise ValueError("git is not installed, which another commit needs") from None


def _environment() -> dict[str, str]:
    """Returns this process's variables without those that tie Python to a tree."""
    ties = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    given = onednn.undecided(os.environ)  # each commit makes its own choice
    return {key: value for key, value in given.items() if key not in ties}


def _last_line(errors: Any) -> str:
    errors.seek(0)
    lines = errors.read().decode(errors="replace").split("\n")
    line = next((x.strip() for x in reversed(lines) if x.strip()), "it says nothing")
    return re.sub(r"^error: ", "", line)
