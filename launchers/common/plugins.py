"""`--import=package.module`: a user's modules, which register parts by their import.

A module adds rows to `agents.registry.MODELS` and `AGENTS`, `datasets.experts.MAKERS`
or `environments.tasks.TASKS`. A command imports it before it makes flags of these.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from absl import flags

from environments import importing
from launchers.common import cli

T = TypeVar("T")

flags.disclaim_key_flags()

_FLAG = "import"
_imported: tuple[str, ...] = ()


def import_for_command(argv: Sequence[str]) -> None:
    """Defines --import and imports what it names; bad input ends the command.

    Args:
      argv: the command line, of which flags are parsed only later.
    """
    global _imported
    flags.DEFINE_list(
        _FLAG, [], "Modules to import first, which register parts of your own."
    )
    names = _named(argv[1:])
    with cli.bad_input():
        for name in names:
            importing.module(name, f"--{_FLAG}={name}")
    _imported = tuple(names)


def _named(arguments: Sequence[str]) -> list[str]:
    values: list[str] = []
    for i, argument in enumerate(arguments):
        name, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name == _FLAG:
            values += [value] if equals else arguments[i + 1 : i + 2]
    return [name for value in values[-1:] for name in value.split(",") if name]


def carried(function: Callable[..., T]) -> Callable[..., T]:
    """Returns a picklable function that imports the same modules in other processes."""
    if not _imported:
        return function
    return functools.partial(_after_import, _imported, function)


def _after_import(
    names: tuple[str, ...], function: Callable[..., T], *args: Any, **kwargs: Any
) -> T:
    for name in names:
        if name not in sys.modules:
            importing.module(name, f"--{_FLAG}={name}")
    return function(*args, **kwargs)
