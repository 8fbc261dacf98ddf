"""Messages of libraries' errors in one line, for users."""

from __future__ import annotations

import re

_LONGEST = 300  # characters


def one_line(error: object) -> str:
    """Returns an error's message, or its type if it has none, in one line.

    It leaves out what TensorFlow adds on its graph and on the code that made it, and
    all beyond 300 characters.
    """
    text = str(error)
    if text.startswith("in user code:"):
        text = text.rstrip().rsplit("\n\n", 1)[-1].strip()
        text = text.removeprefix(f"{type(error).__name__}: ")
    elif text.startswith("Graph execution error:"):
        text = re.sub(r"(?s)^.*\nNode: '[^']*'\n", "", text)
    text = text.split("[[{{", 1)[0].split("[Op:", 1)[0]
    text = text.rsplit("{{function_node", 1)[-1].split("}} ", 1)[-1]
    return " ".join(text.split())[:_LONGEST] or type(error).__name__


def named(error: BaseException) -> str:
    """Returns an error's type and message, in one line."""
    return f"{type(error).__name__}: {one_line(error)}"
