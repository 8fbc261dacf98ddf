"""Errors of libraries in one line, for a user to read."""

from __future__ import annotations

_LONGEST = 300  # characters


def one_line(error: object) -> str:
    """The message of an error, or its type where it has none, on one line.

    What TensorFlow adds of its graph is left out, and what is over 300 characters.
    """
    text = str(error).split("[[{{", 1)[0].split("[Op:", 1)[0]
    text = text.rsplit("{{function_node", 1)[-1].split("}} ", 1)[-1]
    return " ".join(text.split())[:_LONGEST] or type(error).__name__


def named(error: BaseException) -> str:
    """The type of an error and its message, on one line."""
    return f"{type(error).__name__}: {one_line(error)}"
