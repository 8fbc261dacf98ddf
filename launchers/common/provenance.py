"""Provenance of results: when, where, by which code and command a run was started."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import shlex
import socket
import sys
from typing import Any

from datasets.collection import code_version

_PACKAGES = (
    "dm-acme",
    "dm-control",
    "dm-launchpad",
    "dm-reverb",
    "dm-sonnet",
    "mujoco",
    "numpy",
    "tensorflow-cpu",
)


def describe() -> dict[str, Any]:
    """Describes this start of the program.

    Returns:
      `time` (UTC, ISO 8601), `host`, `command`, `code_version` (with `-dirty` where
      files were changed) and `versions` of Python and packages.
    """
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "time": now.isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "command": " ".join([_program(), shlex.join(sys.argv[1:])]).strip(),
        "code_version": code_version.describe("agents", "launchers"),
        "versions": versions,
    }


def _program() -> str:
    """Returns how the program was started: `python -m MODULE`, or its path."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return f"python -m {spec.name}" if spec is not None else sys.argv[0]
