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
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tqdm
from absl import flags

from launchers.common import atomic_files, cli

_SECONDS = flags.DEFINE_float("seconds", 600.0, "Time for cases.", lower_bound=0.0)
_SEED = flags.DEFINE_integer("seed", 0, "Of the cases.", lower_bound=0)
_CASE = flags.DEFINE_integer("case", None, "Run this case alone, and show its output.")
_ONLY = flags.DEFINE_enum("only", None, ["damage", "flags"], "Kind of case.")
_LIMIT = flags.DEFINE_float(
    "limit", 120.0, "Seconds before a command is told to stop.", lower_bound=1.0
)
_OUT = flags.DEFINE_string("out", "runs/fuzz", "Directory of base and results.")

_GRACE_SECONDS = 40.0  # for a command that was told to stop
_GOOD = ("completed", "refused", "failed", "stopped")
_SMALL_MODEL = (
    "--model=helms",
    "--num_skills=2",
    "--latent_dim=2",
    "--hidden_sizes=8",
    "--window=5",
    "--look_ahead=1",
    "--batch_size=4",
)
_SMALL_AGENT = (
    "--agent=helms_cat",
    "--policy_hidden_sizes=8",
    "--critic_hidden_sizes=8",
    "--critic_rnn_size=0",
    "--batch_size=4",
    "--min_replay_size=5",
    "--samples_per_insert=0.2",
    "--eval_episodes=0",
    "--noeval_video",
)


@dataclasses.dataclass(frozen=True)
class _Command:
    """A command on the copy of the base; `{}` in an argument is its directory."""

    module: str
    arguments: tuple[str, ...]
    reads: tuple[str, ...] = ()  # what of the base it reads, to be damaged

    def argv(self, root: pathlib.Path) -> list[str]:
        """Returns module and arguments."""
        return [self.module, *(a.replace("{}", str(root)) for a in self.arguments)]


_COLLECT = _Command(
    "launchers.collect",
    ("--expert=random", "--episodes=4", "--out={}/data", "--processes=1"),
)
_TRAIN_SKILLS = _Command(
    "launchers.train_skills",
    (
        *_SMALL_MODEL,
        "--dataset={}/data",
        "--workdir={}/skills",
        "--steps=4",
        "--eval_every=2",
    ),
)
_TRAIN_AGENT = _Command(
    "launchers.train_agent",
    (*_SMALL_AGENT, "--skills={}/skills/skills", "--workdir={}/agent"),
)


def _until(steps: int) -> _Command:
    """Returns the training of the agent to so many steps."""
    limit = f"--max_actor_steps={steps}"
    return dataclasses.replace(_TRAIN_AGENT, arguments=(*_TRAIN_AGENT.arguments, limit))


_LEARN = (_TRAIN_SKILLS.module, _TRAIN_AGENT.module)
_BASE = (_COLLECT, _TRAIN_SKILLS, _until(800))
_EVALUATE = _Command(
    "launchers.evaluate", ("--workdir={}/agent", "--episodes=1"), ("agent",)
)
_COMMANDS = (
    dataclasses.replace(_COLLECT, reads=("data",)),
    _Command("launchers.inspect_dataset", ("{}/data",), ("data",)),
    dataclasses.replace(_TRAIN_SKILLS, reads=("data", "skills")),
    dataclasses.replace(_until(1200), reads=("skills/skills", "agent")),
    dataclasses.replace(_until(1200), reads=("agent/checkpoints",)),
    _EVALUATE,
    _Command(
        "launchers.export", ("--workdir={}/agent", "--out={}/exported"), ("agent",)
    ),
    _Command("launchers.monitor", ("--workdir={}/agent", "--once"), ("agent",)),
)


def _empty(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.write_bytes(b"")


def _cut(path: pathlib.Path, draws: np.random.Generator) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draws.integers(len(content) + 1)])


def _flip(path: pathlib.Path, draws: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    if content:
        content[draws.integers(len(content))] ^= 1 << draws.integers(8)
    path.write_bytes(content)


def _junk(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.write_bytes(draws.bytes(200))


def _append(path: pathlib.Path, draws: np.random.Generator) -> None:
    with path.open("ab") as file:
        file.write(draws.bytes(20))


def _zeros(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _remove(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.unlink()


def _json(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.write_text(str(draws.choice(["{}", "[]", "null", "3", '{"a": NaN}', '"x"'])))


def _field(path: pathlib.Path, draws: np.random.Generator) -> None:
    """Spoils one value of a JSON object, else one byte."""
    try:
        content = json.loads(path.read_text())
    except ValueError:
        return _flip(path, draws)
    if not isinstance(content, dict) or not content:
        return _json(path, draws)
    where = content
    while True:
        key = str(draws.choice(sorted(where)))
        below = where[key]
        if not (isinstance(below, dict) and below and draws.integers(3)):
            break
        where = below
    odd: list[Any] = [
        None,
        -1,
        0,
        1e300,
        "",
        "../x",
        [],
        {},
        [None],
        True,
        float("nan"),
    ]
    choice = int(draws.integers(len(odd) + 1))
    if choice == len(odd):
        del where[key]
    else:
        where[key] = odd[choice]
    path.write_text(json.dumps(content))


def _directory(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.unlink()
    os.mkfifo(path)


def _loop(path: pathlib.Path, draws: np.random.Generator) -> None:
    path.unlink()
    path.symlink_to(path.name)


_DAMAGES: tuple[Callable[[pathlib.Path, np.random.Generator], None], ...] = (
    _empty,
    _cut,
    _cut,
    _flip,
    _flip,
    _junk,
    _append,
    _zeros,
    _remove,
    _json,
    _field,
    _field,
    _field,
    _directory,
    _pipe,
    _loop,
)
_ODD = (
    *("", " ", "-1", "0", "1", "nan", "inf", "-inf", "1e400", "1e-320", "0.5", "2.5"),
    *("9" * 20, "-" + "9" * 20, "x" * 300, "x", "None", "true", "[]", "[a,b]", "{}"),
    *("a,b", ",", "1,,2", "0,0", "1,2,3,4", "s0,g5,b6", "~", "~nobody/x", "/"),
    *("/dev/null", "/dev/full", "/proc/self", "..", ".", "a/../b", "é", "\n", "\0x"),
    *(
        "*",
        "$HOME",
        "file://x",
        "gs://x",
        "http://localhost",
        "--",
        "-",
        "%s",
        "random",
    ),
)


@dataclasses.dataclass(frozen=True)
class _Case:
    """A case: what is run, on what, and what was done to it."""

    number: int
    command: _Command
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
    command = _COMMANDS[draws.integers(len(_COMMANDS))]
    argv = command.argv(root)
    if kind == "flags":
        name = str(draws.choice(names[command.module]))
        value = str(draws.choice(np.array(_ODD, object)))
        argv.append(f"--{name}={value}")
        return _Case(number, command, kind, name, repr(value), argv)
    below = str(draws.choice(np.array(command.reads, object)))
    files = _files(root / below)
    if command.module != _TRAIN_AGENT.module:  # which alone reads replay
        files = [file for file in files if "replay/" not in file]
    file = below + "/" + str(draws.choice(files))
    damage = _DAMAGES[draws.integers(len(_DAMAGES))]
    damage(root / file, draws)
    return _Case(number, command, kind, file, damage.__name__.lstrip("_"), argv)


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


def _start(argv: Sequence[str], output: pathlib.Path) -> int:
    """Runs a command in a fork of this process, which has imported the libraries.

    What learns starts anew: TensorFlow does not find its functions in a fork.
    """
    if argv[0] in _LEARN:
        with output.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", *argv],
                stdout=file,
                stderr=file,
                start_new_session=True,
                cwd=output.parent,
                env={**os.environ, "PYTHONPATH": os.getcwd()},
            ).pid
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    with output.open("wb") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    code = 70
    try:
        os.chdir(output.parent)  # a relative path is in no one's way there
        module, *arguments = argv
        sys.argv = [module, *arguments]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for holder in (_SECONDS, _SEED, _CASE, _ONLY, _LIMIT, _OUT):
            delattr(flags.FLAGS, holder.name)  # the command defines its own
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, seconds: float) -> int | None:
    """Returns the exit code, negative for a signal; None if it still runs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    return None


def _run(argv: Sequence[str], output: pathlib.Path) -> tuple[str, str]:
    """Runs a command; returns how it ended and what it printed."""
    pid = _start(argv, output)
    code, stopped = _wait(pid, _LIMIT.value), False
    if code is None:
        os.kill(pid, signal.SIGTERM)
        code, stopped = _wait(pid, _GRACE_SECONDS), True
    if code is None:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    text = output.read_text(errors="replace")
    lines = [line for line in text.strip().splitlines() if line]
    if code is None:
        return "hang", text
    if "Traceback (most recent call last)" in text:
        return "traceback", text
    if code < 0:
        return "killed", text
    if stopped:
        return "stopped", text
    if code == 0:
        return "completed", text
    if code in (1, 2) and any(line.startswith("error: ") for line in lines[-1:]):
        return ("failed", "refused")[code - 1], text
    if code == 2 and argv[0] == "launchers.inspect_dataset":
        return "refused", text  # its problems are lines of their own
    return f"code {code}", text


def _outcome(case: _Case, root: pathlib.Path, output: pathlib.Path) -> tuple[str, str]:
    before, counted = _contents(root), _counted(root)
    ended, text = _run(case.argv, output)
    after = _contents(root)
    if ended == "refused":
        lost = [name for name, digest in before.items() if after.get(name) != digest]
        if lost:
            return "overwritten", f"{text}\nchanged: {', '.join(lost)}"
    trains = case.command.module == "launchers.train_agent"
    if ended == "completed" and trains and _counted(root) < counted:
        return "restarted", text
    return ended, text


def _flag_names(module: str) -> list[str]:
    """Returns the names of a command's flags, from its help."""
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = (line.strip() for line in done.stdout.splitlines())
    names = (line[2:].split(":")[0] for line in found if line.startswith("--"))
    return sorted({name.removeprefix("[no]") for name in names} - {"help", "helpfull"})


def _make_base(base: pathlib.Path) -> None:
    """Makes what cases copy, unless an earlier call did."""
    done = base.with_name("base_is_complete")
    if done.exists():
        return
    for command in _BASE:
        module, *arguments = command.argv(base)
        print(f"{module} makes a part of {base}", flush=True)
        subprocess.run([sys.executable, "-m", module, *arguments], check=True)
    done.touch()


def _import_libraries() -> None:
    """Imports what commands need, so that a fork of this process starts at once."""
    import environments
    from datasets import loader
    from datasets.experts import factory
    from launchers.skills import training as skill_training
    from launchers.transfer import training

    del environments, loader, factory, skill_training, training


def main(argv: Sequence[str]) -> None:
    """Runs cases until the time is over."""
    del argv
    out = pathlib.Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    base = out / "base"
    _make_base(base)
    modules = sorted({command.module for command in _COMMANDS})
    names_file = out / "flags.json"
    if not names_file.exists():
        found = {module: _flag_names(module) for module in modules}
        atomic_files.write_json(names_file, found)
    names = atomic_files.read_json(names_file)
    _import_libraries()
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
            damage = (case.command.module, case.kind, case.spoiled, case.how)
            rows.append((number, *damage, outcome))
            bar.set_postfix(bad=sum(n for o, n in outcomes.items() if o not in _GOOD))
            if outcome not in _GOOD or _CASE.value is not None:
                bar.write(f"{outcome}: case {number}, {' '.join(map(repr, damage))}")
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
