"""Benchmarks: one question a module; the last line each prints is one JSON object."""

import launchers as _launchers  # noqa: F401  quiets the libraries
