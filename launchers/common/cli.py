"""Entry point of commands: bad input gets one line and exit code 2.

A command calls `cli.run(main)` under its `__main__` guard. Set-up that reads the
user's input (flags, directories) stands in `with cli.bad_input():`, so that a mistake
prints one line; a bug later on still prints its traceback.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import app, flags, logging

from launchers.common import reverb_log, settings, signals

EXIT_BAD_INPUT = 2

# A flag that a function here defines counts as the command's, so its --help shows it.
flags.disclaim_key_flags()


def fail(message: object) -> None:
    """Prints `message` as one line on standard error and exits with code 2."""
    line = " ".join(str(message).split())
    print(f"error: {line}", file=sys.stderr)
    raise SystemExit(EXIT_BAD_INPUT)


@contextlib.contextmanager
def bad_input() -> Iterator[None]:
    """Turns ValueError and errors of files into one line and exit code 2."""
    try:
        yield
    except (ValueError, OSError, RecursionError) as e:
        fail(e)


def define_skill_steps() -> flags.FlagHolder[list[str]]:
    """Defines `--skill_steps` of analyses, which `skill_steps` reads."""
    return flags.DEFINE_list(
        "skill_steps",
        ["1", "5", "10"],
        "Control steps that a skill is held; a row of the table each.",
    )


def skill_steps(holder: flags.FlagHolder[list[str]]) -> tuple[int, ...]:
    """Returns the numbers of `--skill_steps`; raises ValueError for any other text."""
    try:
        return tuple(int(text) for text in holder.value)
    except ValueError:
        raise ValueError(
            f"skill_steps must be integers, got {','.join(holder.value)}"
        ) from None


def _parse(argv: Sequence[str], arguments: int) -> list[str]:
    if not {"--help", "-help", "-h"}.isdisjoint(argv):
        _show_help()
    try:
        rest = flags.FLAGS(list(argv))
    except flags.Error as e:
        fail(f"{e} (--help lists the flags)")
    if len(rest) > 1 + arguments:
        fail(f"unexpected argument {rest[1 + arguments]!r} (--help lists the flags)")
    for name in flags.FLAGS:
        flag = flags.FLAGS[name]
        if flag.present:
            flag.value = _expanded(flag.value)
    return [rest[0], *map(_expanded, rest[1:])]


def _expanded(value: Any) -> Any:
    """Puts the home directory for `~` in a path, also after FORM: as in --expert.

    Once for all commands: what is read by libraries and by us is the same file then.
    """
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    if not isinstance(value, str):
        return value
    form, colon, path = value.rpartition(":")
    if colon and path.startswith("~"):
        return f"{form}:{os.path.expanduser(path)}"
    return os.path.expanduser(value)


def _show_help() -> None:
    """Prints the command's flags, then those of each group, and exits."""
    flag_values = flags.FLAGS
    print(sys.modules["__main__"].__doc__)
    print(flag_values.main_module_help())
    for group in settings.GROUPS:
        print(flag_values.module_help(group))
    raise SystemExit(0)


def run(main: Callable[[list[str]], None], arguments: int = 0) -> None:
    """Runs `main(argv)`; exits with one line and code 2 if flags do not parse.

    Libraries log errors only, unless --verbosity is given. SIGTERM is as Ctrl-C, and
    where the command does not handle it, it ends with one line and code 130.

    Args:
      main: the command's main function; takes argv without the flags.
      arguments: most positional arguments that the command takes.
    """

    def quiet(argv: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.ERROR)
        elif logging.get_verbosity() >= logging.INFO:
            reverb_log.show(True)
        main(argv)

    # JAX warns where FFmpeg is started, which executes another program at once.
    warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
    signals.interrupt_command()
    try:
        app.run(quiet, flags_parser=functools.partial(_parse, arguments=arguments))
    except BaseException as e:
        if not _is_interruption(e):
            raise
        print("interrupted", file=sys.stderr)
        raise SystemExit(signals.INTERRUPTED) from None


def _is_interruption(error: BaseException | None) -> bool:
    """Returns whether an exception is Ctrl-C, or what a library made of it."""
    if isinstance(error, SystemExit):
        return False
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
