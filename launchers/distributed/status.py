"""Status of a running program: `WORKDIR/status.json`, written by its coordinator."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import reverb

from launchers.common import atomic_files
from launchers.distributed import heartbeat

WRITE_SECONDS = 2.0
OLD_SECONDS = 10.0  # a status of this age means that the program does not run

_FILE = "status.json"
_KINDS: dict[str, Any] = {  # types of its parts
    "time": (int, float),
    "seconds": (int, float),
    "counts": dict,
    "nodes": dict,
    "replay": list,
    "complaints": list,
}
_INFO_SECONDS = 5  # Reverb takes whole seconds


def of_replay(client: reverb.Client) -> dict[str, Any] | None:
    """Returns fill and rate limiter of a shard's table; None if it does not answer.

    Returns:
      `size` and `max_size` [items], `inserts` and `samples` so far, what the rate
      limiter allows (`samples_per_insert`, `min_size`, the bounds `min_diff` and
      `max_diff` of inserts * samples_per_insert - samples), and whether the next one
      must wait there (`blocks_inserts`, `blocks_samples`).
    """
    try:
        (table,) = client.server_info(timeout=_INFO_SECONDS).values()
    except (reverb.ReverbError, RuntimeError):
        return None
    limiter = table.rate_limiter_info
    inserts, samples = limiter.insert_stats.completed, limiter.sample_stats.completed
    ratio = limiter.samples_per_insert
    diff = inserts * ratio - samples
    starts = table.current_size >= limiter.min_size_to_sample
    return {
        "size": table.current_size,
        "max_size": table.max_size,
        "inserts": inserts,
        "samples": samples,
        "blocks_inserts": starts and diff + ratio > limiter.max_diff,
        "blocks_samples": not starts or diff - 1.0 < limiter.min_diff,
        "samples_per_insert": ratio,
        "min_size": limiter.min_size_to_sample,
        "min_diff": limiter.min_diff,
        "max_diff": limiter.max_diff,
    }


def complaints(
    nodes: Mapping[str, Mapping[str, Any]],
    shards: Sequence[Mapping[str, Any] | None],
) -> list[str]:
    """Returns a line per silent or long-waiting node, with the limiter that blocks."""
    lines = heartbeat.complaints(nodes)
    if not lines:
        return []
    for i, shard in enumerate(shards):
        if shard is None:
            lines.append(f"replay/{i} does not answer")
        elif shard["blocks_inserts"]:
            lines.append(
                f"replay/{i}: the rate limiter holds inserts back until more samples "
                f"are taken ({_ratio(shard)})"
            )
        elif shard["size"] < shard["min_size"]:
            lines.append(
                f"replay/{i}: no samples before {shard['min_size']} items, it has "
                f"{shard['size']}"
            )
        elif shard["blocks_samples"]:
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
    seconds: float,
    counts: Mapping[str, float],
    nodes: Mapping[str, Mapping[str, Any]],
    shards: Sequence[Mapping[str, Any] | None],
) -> dict[str, Any]:
    """Writes the status with the time and the complaints; returns what was written.

    Args:
      workdir: work directory of the run.
      seconds: time for which the program has run.
      counts: steps and episodes.
      nodes: `heartbeat.Register.nodes`.
      shards: `of_replay` of each shard.
    """
    content = {
        "time": time.time(),
        "seconds": seconds,
        "counts": counts,
        "nodes": nodes,
        "replay": [_finite(shard) for shard in shards],
        "complaints": complaints(nodes, shards),
    }
    atomic_files.write_json(workdir / _FILE, content)
    return content


def scalars(content: Mapping[str, Any]) -> dict[str, float]:
    """Returns the numbers of a status that are logged as curves."""
    nodes = content["nodes"].values()
    shards = [shard for shard in content["replay"] if shard is not None]
    fills = [shard["size"] / shard["max_size"] for shard in shards]
    return {
        "nodes": float(len(nodes)),
        "nodes_silent": float(sum(n["age"] > heartbeat.LATE_SECONDS for n in nodes)),
        "nodes_waiting": float(
            sum(any(s > heartbeat.LONG_SECONDS for _, s in n["waits"]) for n in nodes)
        ),
        "replay_shards_answering": float(len(shards)),
        "replay_items": float(sum(shard["size"] for shard in shards)),
        "replay_fill": sum(fills) / len(fills) if fills else 0.0,
        "replay_inserts": float(sum(shard["inserts"] for shard in shards)),
        "replay_samples": float(sum(shard["samples"] for shard in shards)),
        "shards_blocking_inserts": float(sum(s["blocks_inserts"] for s in shards)),
        "shards_blocking_samples": float(sum(s["blocks_samples"] for s in shards)),
    }


def _finite(shard: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Removes infinite bounds, which JSON lacks."""
    if shard is None:
        return None
    return {k: v for k, v in shard.items() if abs(v) < 1e300}


def forget(workdir: str) -> None:
    """Removes the status of an earlier program."""
    (pathlib.Path(workdir) / _FILE).unlink(missing_ok=True)


def warnings(workdir: str) -> list[str]:
    """Returns a line for each complaint of the running program."""
    content = read(workdir)
    if content is None or time.time() - content["time"] > OLD_SECONDS:
        return []
    return [f"warning: {complaint}" for complaint in content["complaints"]]


def read(workdir: str) -> dict[str, Any] | None:
    """Reads the last status; None if there is none or it is unreadable."""
    try:
        content = atomic_files.read_json(pathlib.Path(workdir) / _FILE)
    except ValueError:
        return None
    whole = all(isinstance(content.get(key), kind) for key, kind in _KINDS.items())
    return content if whole else None
