"""Does a command end well whatever its files and flags are?

    python -m benchmarks.fuzz --seconds=600 [--only=damage|flags] [--seed=S]

Collects a small data set, learns skills and trains an agent once, under --out. Each
case then takes a fresh copy of these. A case of `damage` spoils one file and runs a
command that reads it; a case of `flags` gives a command an odd value. Cases are drawn
by --seed; `case` in cases.csv is a number that --case runs alone.

A case ends well as one of

    completed  exit code 0
    refused    exit code 2 and one line that begins with "error:"
    failed     exit code 1 and such a line
    stopped    still running after --limit seconds, and ended by SIGTERM

and badly as one of

    traceback, hang (SIGTERM did not end it), killed (by a signal, as SIGABRT), code N
    overwritten   refused, and yet a file of the copy was changed or removed
    restarted     completed, but the run has lost the steps that it had counted

Prints the cases that ended badly. The last line is one JSON object: cases by outcome.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import tqdm
from absl import flags

from benchmarks.fuzzing import commands, damage, endings
from launchers.common import atomic_files, cli

_SECONDS = flags.DEFINE_float("seconds", 600.0, "Time for cases.", lower_bound=0.0)
_SEED = flags.DEFINE_integer("seed", 0, "Of the cases.", lower_bound=0)
_CASE = flags.DEFINE_integer("case", None, "Run this case alone, and show its output.")
_ONLY = flags.DEFINE_enum("only", None, ["damage", "flags"], "Kind of case.")
_LIMIT = flags.DEFINE_float(
    "limit", 120.0, "Seconds before a command is told to stop.", lower_bound=1.0
)
_OUT = flags.DEFINE_string("out", "runs/fuzz", "Directory of base and results.")

_GOOD = ("completed", "refused", "failed", "stopped")


@dataclasses.dataclass(frozen=True)
class _Case:
    """A case: what is run, on what, and what was done to it."""

    number: int
    command: commands.Command
    kind: str
    spoiled: str  # file or flag
    how: str
    argv: list[str]


def _files(root: pathlib.Path) -> list[str]:
    """Lists the files below a directory, but for events that no command reads."""
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith("events.")
    )


def _draw(number: int, root: pathlib.Path, names: dict[str, list[str]]) -> _Case:
    """Draws a case and, for `damage`, spoils the file in `root`."""
    draws = np.random.default_rng([_SEED.value, number])
    kind = _ONLY.value or ("damage" if draws.integers(3) else "flags")
    command = commands.ALL[draws.integers(len(commands.ALL))]
    argv = command.argv(root)
    if kind == "flags":
        name = str(draws.choice(names[command.module]))
        value = str(draws.choice(np.array(damage.ODD_VALUES, object)))
        argv.append(f"--{name}={value}")
        return _Case(number, command, kind, name, repr(value), argv)
    below = str(draws.choice(np.array(command.reads, object)))
    files = _files(root / below)
    if command.module != commands.TRAIN_AGENT:  # which alone reads replay
        files = [file for file in files if "replay/" not in file]
    file = below + "/" + str(draws.choice(files))
    spoil = damage.DAMAGES[draws.integers(len(damage.DAMAGES))]
    spoil(root / file, draws)
    return _Case(number, command, kind, file, spoil.__name__.lstrip("_"), argv)


def _contents(root: pathlib.Path) -> dict[str, str]:
    """Hashes all files, links and names below a directory."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            content = os.readlink(path).encode()
        elif path.is_file():
            content = path.read_bytes()
        else:
            content = b""
        found[str(path.relative_to(root))] = hashlib.sha256(content).hexdigest()
    return found


def _counted(root: pathlib.Path) -> int:
    try:
        return int(atomic_files.read_json(root / "agent/counts.json")["actor_steps"])
    except (ValueError, KeyError, TypeError):
        return 0


def _outcome(case: _Case, root: pathlib.Path, output: pathlib.Path) -> tuple[str, str]:
    before, counted = _contents(root), _counted(root)
    own_flags = [f.name for f in (_SECONDS, _SEED, _CASE, _ONLY, _LIMIT, _OUT)]
    ended, text = endings.run(case.argv, output, _LIMIT.value, own_flags)
    after = _contents(root)
    if ended == "refused":
        lost = [name for name, digest in before.items() if after.get(name) != digest]
        if lost:
            return "overwritten", f"{text}\nchanged: {', '.join(lost)}"
    trains = case.command.module == commands.TRAIN_AGENT
    if ended == "completed" and trains and _counted(root) < counted:
        return "restarted", text
    return ended, text


def main(argv: Sequence[str]) -> None:
    """Runs cases until the time is over."""
    del argv
    out = pathlib.Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    base = out / "base"
    commands.make_base(base)
    modules = sorted({command.module for command in commands.ALL})
    names_file = out / "flags.json"
    if not names_file.exists():
        found = {module: commands.flag_names(module) for module in modules}
        atomic_files.write_json(names_file, found)
    names = atomic_files.read_json(names_file)
    commands.import_libraries()
    rows, outcomes = [], collections.Counter[str]()
    begin, number = time.monotonic(), _CASE.value or 0
    with tqdm.tqdm(unit="case") as bar:
        while time.monotonic() - begin < _SECONDS.value:
            with tempfile.TemporaryDirectory(prefix="fuzz.") as directory:
                root = pathlib.Path(directory) / "copy"
                shutil.copytree(base, root)
                case = _draw(number, root, names)
                output = pathlib.Path(directory) / "output"
                outcome, text = _outcome(case, root, output)
            outcomes[outcome] += 1
            done = (case.command.module, case.kind, case.spoiled, case.how)
            rows.append((number, *done, outcome))
            bar.set_postfix(bad=sum(n for o, n in outcomes.items() if o not in _GOOD))
            if outcome not in _GOOD or _CASE.value is not None:
                bar.write(f"{outcome}: case {number}, {' '.join(map(repr, done))}")
                bar.write("    " + "\n    ".join(text.strip().splitlines()[-12:]))
            header = ("case", "command", "kind", "spoiled", "how", "outcome")
            atomic_files.write_csv(out / "cases.csv", header, rows)
            bar.update()
            if _CASE.value is not None:
                break
            number += 1
    print(json.dumps({"cases": len(rows), **outcomes}))


if __name__ == "__main__":
    cli.run(main)
