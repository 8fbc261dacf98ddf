"""How a running program is: its nodes, rates, replay and returns, in the terminal.

python -m launchers.monitor --workdir=DIR

Reads what coordinator and nodes write into the work directory; the same numbers are in
TensorBoard (WORKDIR/logs/program). Ends with Ctrl-C; the program goes on.
"""

from __future__ import annotations

import collections
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from launchers import command, files, health, run_logs, status

_WORKDIR = flags.DEFINE_string("workdir", None, "Of the run.")
_SECONDS = flags.DEFINE_float("seconds", 2.0, "Between two views.", lower_bound=0.1)
_ONCE = flags.DEFINE_bool("once", False, "Print one view and end.")
_ROWS = flags.DEFINE_integer(
    "rows", 20, "Nodes that are listed, the worst first.", lower_bound=0
)

_CLEAR = "\033[H\033[2J"
_OLD_SECONDS = 10.0  # of a status: then the program does not run


def view(
    workdir: str,
    before: Mapping[str, Any] | None = None,
    rows: int = 20,
    now: float | None = None,
) -> tuple[str, dict[str, Any] | None]:
    """The text for a terminal, and the status it was made from.

    Args:
      workdir: of the run.
      before: an earlier status, for rates; None: rates are left out.
      rows: nodes that are listed.
      now: time.time().
    """
    content = status.read(workdir)
    if content is None:
        return f"{workdir}: no status yet (a distributed program writes it)", None
    now = time.time() if now is None else now
    age = now - content["time"]
    state = "running" if age < _OLD_SECONDS else f"not running for {_duration(age)}"
    lines = [f"{workdir}: {state}", *_steps(workdir, content, before)]
    for i, shard in enumerate(content["replay"]):
        lines.append(f"{f'replay/{i}':15s}{_replay(shard)}")
    lines += ["", *_nodes(content["nodes"], rows)]
    if content["complaints"]:
        lines += ["", *(f"warning: {complaint}" for complaint in content["complaints"])]
    return "\n".join(lines), content


def _steps(
    workdir: str, content: Mapping[str, Any], before: Mapping[str, Any] | None
) -> list[str]:
    counts, lines = content["counts"], []
    for who in ("actor", "learner"):
        key = f"{who}_steps"
        line = f"{who + ' steps':15s}{counts.get(key, 0):,.0f}"
        seconds = content["time"] - before["time"] if before else 0.0
        if seconds > 0:
            rate = (counts.get(key, 0) - before["counts"].get(key, 0)) / seconds
            line += f"  ({rate:.1f}/s)"
        lines.append(line)
    actors = sorted((pathlib.Path(workdir) / "logs").glob("actor_*"))
    last = [run_logs.last_row(workdir, actor.name) for actor in actors]
    returns = [row["episode_return"] for row in last if "episode_return" in row]
    if returns:
        lines.append(
            f"{'return':15s}{sum(returns) / len(returns):.2f} "
            f"(last episodes of {len(returns)} actors)"
        )
    evaluation = run_logs.last_row(workdir, "evaluator")
    if evaluation:
        lines.append(
            f"{'evaluation':15s}{evaluation['return_mean']:.2f}, success "
            f"{100 * evaluation['success_rate']:.0f} %, after "
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
    """Counts by group, then the nodes: silent ones first, then by their waits."""

    def trouble(name: str) -> tuple[bool, float]:
        state = nodes[name]
        waits = [seconds for _, seconds in state["waits"]]
        return state["age"] > health.LATE_SECONDS, max(waits, default=0.0)

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


def main(argv: Sequence[str]) -> None:
    """Shows views until Ctrl-C."""
    del argv
    workdir = _WORKDIR.value
    with command.bad_input():
        if not workdir:
            raise ValueError("--workdir is required")
        if not (pathlib.Path(workdir) / "config.json").exists():
            raise ValueError(f"no run in {workdir} (no config.json)")
        files.read_json(pathlib.Path(workdir) / "config.json")
    before = None
    if _ONCE.value:
        first = status.read(workdir)
        if first is not None and time.time() - first["time"] < _OLD_SECONDS:
            before = first
            time.sleep(2 * status.WRITE_SECONDS)
        print(view(workdir, before, _ROWS.value)[0])
        return
    history: collections.deque[dict[str, Any]] = collections.deque(maxlen=10)
    try:
        while True:
            text, content = view(workdir, history[0] if history else None, _ROWS.value)
            if content is not None:
                history.append(content)
            print((_CLEAR if sys.stdout.isatty() else "") + text, flush=True)
            time.sleep(_SECONDS.value)
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    command.run(main)
