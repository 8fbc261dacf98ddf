"""Benchmarks: each module answers a question; its last line is one JSON object."""

import launchers as _launchers  # noqa: F401  silences libraries' notices
