"""Status of a running program as text for a terminal."""

from __future__ import annotations

import collections
import pathlib
import time
from collections.abc import Mapping
from typing import Any

from launchers.common import loggers
from launchers.distributed import heartbeat, status


def view(
    workdir: str,
    before: Mapping[str, Any] | None = None,
    rows: int = 20,
    now: float | None = None,
) -> tuple[str, dict[str, Any] | None]:
    """Returns the text for a terminal and the status from which it is made.

    Args:
      workdir: work directory of the run.
      before: an earlier status, for rates; None leaves out rates.
      rows: most nodes listed.
      now: current time [s], as of `time.time`; None reads the clock.
    """
    now = time.time() if now is None else now
    content = status.read(workdir)
    logged = max((row["time"] for row in _last_rows(workdir)), default=None)
    if content is None or (logged or 0.0) > content["time"] + status.OLD_SECONDS:
        if logged is None or _is_distributed(workdir, content):
            return f"{workdir}: no status yet (a distributed program writes it)", None
        return _one_process(workdir, before, now - logged, now)
    age = now - content["time"]
    old = age >= status.OLD_SECONDS
    state = f"not running for {_duration(age)}" if old else "running"
    lines = [f"{workdir}: {state}", *_steps(workdir, content, before)]
    for i, shard in enumerate(content["replay"]):
        lines.append(f"{f'replay/{i}':15s}{_replay(shard)}")
    lines += ["", *_nodes(content["nodes"], rows)]
    if content["complaints"]:
        lines += ["", *(f"warning: {complaint}" for complaint in content["complaints"])]
    return "\n".join(lines), content


def _last_rows(workdir: str) -> list[dict[str, float]]:
    nodes = (*loggers.actors(workdir), "learner", "evaluator")
    return [row for node in nodes if (row := loggers.last_row(workdir, node))]


def _is_distributed(workdir: str, content: Mapping[str, Any] | None) -> bool:
    """Returns whether a work directory without a current status is of a program.

    A run in one process may have continued what a program began.
    """
    return content is None and (pathlib.Path(workdir) / "logs" / "program").exists()


def _one_process(
    workdir: str, before: Mapping[str, Any] | None, age: float, now: float
) -> tuple[str, dict[str, Any]]:
    """Shows the counts of a run in one process, which are in its logs."""
    rows = _last_rows(workdir)
    counts = {
        key: max((row.get(key, 0.0) for row in rows), default=0.0)
        for key in ("actor_steps", "learner_steps")
    }
    content = {"time": now, "counts": counts}
    lines = [
        f"{workdir}: a run in one process, without nodes; last logged "
        f"{_duration(age)} ago",
        *_steps(workdir, content, before),
    ]
    return "\n".join(lines), content


def _steps(
    workdir: str, content: Mapping[str, Any], before: Mapping[str, Any] | None
) -> list[str]:
    counts, lines = content["counts"], []
    for who in ("actor", "learner"):
        key = f"{who}_steps"
        line = f"{who + ' steps':15s}{counts.get(key, 0):,.0f}"
        seconds = content["time"] - before["time"] if before else 0.0
        if before and seconds > 0:
            rate = (counts.get(key, 0) - before["counts"].get(key, 0)) / seconds
            line += f"  ({rate:.1f}/s)"
        lines.append(line)
    last = [loggers.last_row(workdir, a) for a in loggers.actors(workdir)]
    returns = [row["episode_return"] for row in last if "episode_return" in row]
    if returns:
        lines.append(
            f"{'return':15s}{sum(returns) / len(returns):.2f} "
            f"(last episodes of {len(returns)} actors)"
        )
    evaluation = loggers.last_row(workdir, "evaluator")
    if evaluation:
        success = ""
        if "success_rate" in evaluation:
            success = f", success {100 * evaluation['success_rate']:.0f} %"
        lines.append(
            f"{'evaluation':15s}{evaluation['return_mean']:.2f}{success}, after "
            f"{evaluation['actor_steps']:,.0f} actor steps"
        )
    return lines


def _replay(shard: Mapping[str, Any] | None) -> str:
    if shard is None:
        return "does not answer"
    ratio = shard["samples"] / max(shard["inserts"], 1)
    line = (
        f"{shard['size']:,} of {shard['max_size']:,} items "
        f"({100 * shard['size'] / shard['max_size']:.1f} %), "
        f"{shard['inserts']:,} inserts, {shard['samples']:,} samples "
        f"({ratio:.1f} an insert, {shard['samples_per_insert']:g} asked)"
    )
    if shard["blocks_inserts"]:
        line += "; the limiter holds inserts back"
    if shard["blocks_samples"]:
        line += "; the limiter holds samples back"
    return line


def _nodes(nodes: Mapping[str, Mapping[str, Any]], rows: int) -> list[str]:
    """Lists counts by group, then nodes: silent ones first, then by their waits."""

    def trouble(name: str) -> tuple[bool, float]:
        state = nodes[name]
        waits = [seconds for _, seconds in state["waits"]]
        return state["age"] > heartbeat.LATE_SECONDS, max(waits, default=0.0)

    groups = collections.Counter(name.split("/")[0] for name in nodes)
    silent = sum(trouble(name)[0] for name in nodes)
    lines = [
        f"{len(nodes)} nodes ("
        + ", ".join(f"{group} {count}" for group, count in sorted(groups.items()))
        + f"), {silent} silent"
    ]
    worst = sorted(nodes, key=trouble, reverse=True)[:rows]
    table = [("node", "host", "pid", "heard", "waits on")]
    for name in worst:
        state = nodes[name]
        waits = "; ".join(f"{on} ({s:.0f} s)" for on, s in state["waits"] if s >= 1.0)
        heard = f"{state['age']:.0f} s ago"
        table.append((name, state["host"], str(state["pid"]), heard, waits or "-"))
    widths = [max(len(row[i]) for row in table) for i in range(4)]
    for row in table if rows else []:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]))
    if len(worst) < len(nodes) and rows:
        lines.append(f"... and {len(nodes) - len(worst)} more (--rows)")
    return lines


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
