"""Version of the running code, recorded with its results."""

from __future__ import annotations

import hashlib
import pathlib
import subprocess

_PACKAGES = ("datasets", "environments")  # what decides a data set


def describe(*packages: str) -> str:
    """Returns the git commit, or else a hash of the sources that decide the data.

    Args:
      *packages: names of further packages whose sources the hash includes.
    """
    root = pathlib.Path(__file__).resolve().parents[2]
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--tags"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return f"sources-{hash_sources(root, *packages)}"
    return described.stdout.strip()


def hash_sources(root: pathlib.Path, *packages: str) -> str:
    """Returns a hash, 12 hex digits, of Python files; see `describe`."""
    digest = hashlib.sha256()
    for package in (*_PACKAGES, *packages):
        for path in sorted((root / package).rglob("*.py")):
            content = path.read_bytes()
            name = path.relative_to(root).as_posix()
            digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()[:12]
