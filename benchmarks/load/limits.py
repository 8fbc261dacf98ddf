"""Limits of processes to a share of a core, by the kernel's CPU controller (cgroups).

On one machine, a load that needs more CPU than its server cannot fill the server. A
server limited to a tenth of a core is filled by a tenth of the load.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator

LEAST_CORES = 0.1  # the kernel's least quota, 1 ms, in the period below
_PERIOD_MICROSECONDS = 10_000
_MOUNT = pathlib.Path("/sys/fs/cgroup")


def check(cores: float | None) -> None:
    """Raises ValueError if processes cannot be limited to `cores`; None is no limit."""
    if cores is not None:
        _make_group(f"helms_{os.getpid()}", cores).rmdir()


@contextlib.contextmanager
def held(cores: float | None, pid: int) -> Iterator[None]:
    """Limits a process to `cores` while the block runs; None is no limit.

    Raises:
      ValueError: this machine or user cannot limit processes.
    """
    if cores is None:
        yield
        return
    group = _make_group(f"helms_{pid}", cores)
    try:
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        with contextlib.suppress(OSError):  # the process may have ended
            (group.parent / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def _make_group(name: str, cores: float) -> pathlib.Path:
    quota = round(cores * _PERIOD_MICROSECONDS)
    try:
        if (_MOUNT / "cpu").exists():  # cgroups of version 1
            group = _MOUNT / "cpu" / name
            group.mkdir(exist_ok=True)
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROSECONDS))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (_MOUNT / "cgroup.subtree_control").write_text("+cpu")
            group = _MOUNT / name
            group.mkdir(exist_ok=True)
            (group / "cpu.max").write_text(f"{quota} {_PERIOD_MICROSECONDS}")
    except OSError as e:
        raise ValueError(
            f"cannot hold a process to {cores} cores: {e.strerror} ({e.filename}); "
            "it takes root and the kernel's CPU controller (cgroups)"
        ) from None
    return group
