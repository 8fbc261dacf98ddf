"""Data sets joined with each other, and exchanged with other libraries."""

from __future__ import annotations

import importlib
from typing import Any

FORMATS = ("lerobot", "robomimic")


def module(form: str) -> Any:
    """Returns the module of one of `FORMATS`, with `export` and `import_data`."""
    return importlib.import_module(f"datasets.exchange.{form}")
