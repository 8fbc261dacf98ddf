"""`launchers.train_agent` as a process, for benchmarks that watch or kill it."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from collections.abc import Sequence


def start(
    log: pathlib.Path, core: int | None = None, **settings: object
) -> subprocess.Popen:
    """Starts it.

    Args:
      log: file that what it prints is added to.
      core: the only one it may use; None: all. TensorFlow makes as many threads.
      **settings: its flags; None leaves one out.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    pinned: Sequence[str] = () if core is None else ("taskset", "-c", str(core))
    given = [f"--{k}={v}" for k, v in settings.items() if v is not None]
    with log.open("a") as output:
        return subprocess.Popen(
            [*pinned, sys.executable, "-m", "launchers.train_agent", *given],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
