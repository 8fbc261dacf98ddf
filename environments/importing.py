"""Imports what a user names: a module, or a callable as package.module:name."""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable
from typing import Any


def module(name: str, kind: str) -> types.ModuleType:
    """Imports a module.

    Args:
      name: its dotted name.
      kind: what it is for, the first words of the message.

    Raises:
      ValueError: in one line, why it cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except Exception as e:  # a user's module may raise anything
        raise ValueError(f"{kind}: cannot import {name}: {said(e)}") from e


def function(name: str, kind: str) -> Callable[..., Any]:
    """Imports the callable that package.module:name names.

    Args:
      name: the text.
      kind: what it makes, for messages.

    Raises:
      ValueError: in one line, what cannot be imported.
    """
    module_name, _, attribute = name.partition(":")
    found = module(module_name, f"{kind} {name!r}")
    value = getattr(found, attribute, None)
    if callable(value):
        return value
    own = [
        key
        for key, other in vars(found).items()
        if callable(other)
        and not key.startswith("_")
        and getattr(other, "__module__", None) == found.__name__
    ]
    raise ValueError(
        f"{kind} {name!r}: {module_name} has no function {attribute!r}; valid: "
        f"{', '.join(own) or 'none, as it defines no function'}"
    )


def said(error: BaseException) -> str:
    """Returns an error's kind and text in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
