"""`WORKDIR/status.json`: how a running program is, written by its coordinator."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import reverb

from launchers import files, health

WRITE_SECONDS = 2.0

_FILE = "status.json"
_INFO_SECONDS = 5.0


def of_replay(client: reverb.Client) -> dict[str, Any] | None:
    """Fill and limiter of a shard's table; None if it does not answer.

    Returns:
      `size` and `max_size` [items], `inserts` and `samples` so far, how many of each
      wait at the rate limiter now (`inserts_waiting`, `samples_waiting`), and what the
      limiter allows: `samples_per_insert`, `min_size`, and the bounds of `inserts *
      samples_per_insert - samples`.
    """
    try:
        (table,) = client.server_info(timeout=_INFO_SECONDS).values()
    except Exception:  # Reverb's errors have no class of their own
        return None
    limiter = table.rate_limiter_info
    return {
        "size": table.current_size,
        "max_size": table.max_size,
        "inserts": limiter.insert_stats.completed,
        "samples": limiter.sample_stats.completed,
        "inserts_waiting": limiter.insert_stats.pending,
        "samples_waiting": limiter.sample_stats.pending,
        "samples_per_insert": limiter.samples_per_insert,
        "min_size": limiter.min_size_to_sample,
        "min_diff": limiter.min_diff,
        "max_diff": limiter.max_diff,
    }


def complaints(
    nodes: Mapping[str, Mapping[str, Any]],
    shards: Sequence[Mapping[str, Any] | None],
) -> list[str]:
    """A line for whatever is silent or waits for long, with the limiter that blocks."""
    lines = health.complaints(nodes)
    if not lines:
        return []
    for i, shard in enumerate(shards):
        if shard is None:
            lines.append(f"replay/{i} does not answer")
        elif shard["inserts_waiting"]:
            lines.append(
                f"replay/{i}: the rate limiter holds inserts back until more samples "
                f"are taken ({_ratio(shard)})"
            )
        elif shard["samples_waiting"] and shard["size"] < shard["min_size"]:
            lines.append(
                f"replay/{i}: no samples before {shard['min_size']} items, it has "
                f"{shard['size']}"
            )
        elif shard["samples_waiting"]:
            lines.append(
                f"replay/{i}: the rate limiter holds samples back until actors have "
                f"inserted more ({_ratio(shard)})"
            )
    return lines


def _ratio(shard: Mapping[str, Any]) -> str:
    ratio = shard["samples"] / max(shard["inserts"], 1)
    return f"{ratio:.1f} samples an insert, {shard['samples_per_insert']:g} asked"


def write(
    workdir: pathlib.Path,
    nodes: Mapping[str, Mapping[str, Any]],
    shards: Sequence[Mapping[str, Any] | None],
) -> None:
    """Writes it, with the time and the complaints."""
    content = {
        "time": time.time(),
        "nodes": nodes,
        "replay": [_finite(shard) for shard in shards],
        "complaints": complaints(nodes, shards),
    }
    files.write_json(workdir / _FILE, content)


def _finite(shard: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Without the bounds that are none, which JSON does not know."""
    if shard is None:
        return None
    return {k: v for k, v in shard.items() if abs(v) < 1e300}


def read(workdir: str) -> dict[str, Any] | None:
    """What was written last; None if nothing was, or it is not readable."""
    try:
        return files.read_json(pathlib.Path(workdir) / _FILE)
    except ValueError:
        return None
