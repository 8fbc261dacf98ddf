"""What every command shares: one line for bad input, and exit code 2.

A command is `command.run(main)` under its `__main__` guard. Set-up that reads what
the user gave (flags, directories) stands in `with command.bad_input():`, so that a
mistake prints one line; a fault of ours later on still prints its traceback.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Sequence

from absl import app, flags, logging

EXIT_BAD_INPUT = 2

flags.disclaim_key_flags()  # A flag defined for a command is shown by its --help.


def fail(message: object) -> None:
    """Prints `message` as one line on standard error and exits with code 2."""
    line = " ".join(str(message).split())
    print(f"error: {line}", file=sys.stderr)
    raise SystemExit(EXIT_BAD_INPUT)


@contextlib.contextmanager
def bad_input() -> Iterator[None]:
    """Turns ValueError and file errors of the block into one line and exit code 2."""
    try:
        yield
    except (ValueError, FileNotFoundError, NotADirectoryError, PermissionError) as e:
        fail(e)


class _ObjectSetParser(flags.ArgumentParser):
    """Digits are a set's number; what else is valid, the environment says."""

    def parse(self, argument: str | int) -> int | str:
        text = str(argument)
        return int(text) if text.isdecimal() else text


def define_object_set() -> flags.FlagHolder[int | str]:
    """Defines `--object_set`, of `environments.make`."""
    return flags.DEFINE(
        _ObjectSetParser(),
        "object_set",
        4,
        "Object set: 1 to 5; or random, three other training objects an episode.",
    )


def define_skill_steps() -> flags.FlagHolder[list[str]]:
    """Defines `--skill_steps` of analyses, for `skill_steps`."""
    return flags.DEFINE_list(
        "skill_steps",
        ["1", "5", "10"],
        "Control steps that a skill is held; a row of the table each.",
    )


def skill_steps(holder: flags.FlagHolder[list[str]]) -> tuple[int, ...]:
    """The numbers of `--skill_steps`; raises ValueError for what is none."""
    try:
        return tuple(int(text) for text in holder.value)
    except ValueError:
        raise ValueError(
            f"skill_steps must be integers, got {','.join(holder.value)}"
        ) from None


def _parse(argv: Sequence[str], arguments: int) -> list[str]:
    try:
        rest = flags.FLAGS(list(argv))
    except flags.Error as e:
        fail(f"{e} (--help lists the flags)")
    if len(rest) > 1 + arguments:
        fail(f"unexpected argument {rest[1 + arguments]!r} (--help lists the flags)")
    return rest


def run(main: Callable[[list[str]], None], arguments: int = 0) -> None:
    """Runs `main(argv)`; flags that do not parse give one line and exit code 2.

    Libraries log errors only, unless --verbosity says otherwise.

    Args:
      main: of the command; takes argv without the flags.
      arguments: how many there may be that are no flags.
    """

    def quiet(argv: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.ERROR)
        main(argv)

    app.run(quiet, flags_parser=functools.partial(_parse, arguments=arguments))
