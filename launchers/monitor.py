"""Shows a running program's nodes, rates, replay and returns in the terminal.

python -m launchers.monitor --workdir=DIR

Reads what coordinator and nodes write into the work directory; the same numbers are in
TensorBoard (WORKDIR/logs/program). Of a run in one process it shows steps and returns.
Ends with Ctrl-C; the program continues.
"""

from __future__ import annotations

import collections
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

from absl import flags

from launchers.common import atomic_files, cli
from launchers.distributed import status, status_view

_WORKDIR = flags.DEFINE_string("workdir", None, "Of the run.")
_SECONDS = flags.DEFINE_float("seconds", 2.0, "Between two views.", lower_bound=0.1)
_ONCE = flags.DEFINE_bool("once", False, "Print one view and end.")
_ROWS = flags.DEFINE_integer(
    "rows", 20, "Nodes that are listed, the worst first.", lower_bound=0
)

_CLEAR = "\033[H\033[2J"


def main(argv: Sequence[str]) -> None:
    """Shows the status until Ctrl-C."""
    del argv
    workdir = _WORKDIR.value
    with cli.bad_input():
        if not workdir:
            raise ValueError("--workdir is required")
        if not (pathlib.Path(workdir) / "config.json").exists():
            raise ValueError(f"no run in {workdir} (no config.json)")
        atomic_files.read_json(pathlib.Path(workdir) / "config.json")
    before = None
    if _ONCE.value:
        with cli.bad_input():
            first = status_view.view(workdir)[1]
            if first is not None and time.time() - first["time"] < status.OLD_SECONDS:
                before = first
                time.sleep(2 * status.WRITE_SECONDS)
            print(status_view.view(workdir, before, _ROWS.value)[0])
        return
    history: collections.deque[dict[str, Any]] = collections.deque(maxlen=10)
    try:
        while True:
            with cli.bad_input():
                text, content = status_view.view(
                    workdir, history[0] if history else None, _ROWS.value
                )
            if content is not None:
                history.append(content)
            print((_CLEAR if sys.stdout.isatty() else "") + text, flush=True)
            time.sleep(_SECONDS.value)
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    cli.run(main)
