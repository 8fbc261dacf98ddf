"""Connection to a Ray cluster, or to a private one on this host."""

from __future__ import annotations

import logging
import os
import pathlib
import re
import socket

from datasets.rlds import errors
from launchers.distributed.ray.resources import HostResources

_ROOT = pathlib.Path(__file__).resolve().parents[3]
# Paths of the repository that no node needs; Ray leaves out what git ignores.
_EXCLUDES = ["/.git", "/.venv", "/runs", "/docs", "/benchmarks/results"]
_CONNECT_SECONDS = 5.0
_OBJECT_STORE_BYTES = 128 * 2**20  # for code and logs; nodes bypass Ray


def join(address: str | None) -> None:
    """Joins the cluster at `address`, if one is given, before a program is made.

    Raises:
      ValueError: in one line, that Ray is not installed, or why the cluster cannot be
        joined.
    """
    _check_installed()
    if address is not None:
        connect(address)


def _check_installed() -> None:
    try:
        import ray  # noqa: F401
    except ImportError as e:
        raise ValueError(
            "--launch=ray needs Ray, which is not installed: pip install ray==2.48.0"
        ) from e


def connect(address: str | None, num_cpus: float | None = None) -> None:
    """Connects this process to a cluster, unless it is connected.

    Args:
      address: HOST:PORT of a cluster's head, "auto" for the one that this host is part
        of, None for a private one, which ends with this process.
      num_cpus: CPUs that a private cluster declares, which may exceed those that exist:
        on one host, nodes share CPUs as processes do.

    Raises:
      ValueError: in one line, why the cluster cannot be joined.
    """
    _check_installed()
    import ray

    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    common = {
        "include_dashboard": False,
        "log_to_driver": False,  # nodes' output goes to files
        "logging_level": logging.ERROR,
        "runtime_env": {"working_dir": str(_ROOT), "excludes": _EXCLUDES},
    }
    if address is None:
        cpus = max(os.cpu_count() or 1, int(num_cpus or 0))
        ray.init(
            **common,
            num_cpus=cpus,
            object_store_memory=_OBJECT_STORE_BYTES,
            _node_ip_address="127.0.0.1",  # private to this host
            _system_config={"prestart_worker_first_driver": False},
        )
        return
    del common["include_dashboard"]
    if address != "auto":
        _check_reachable(address)
    try:
        ray.init(address=address, **common)
    except (ConnectionError, RuntimeError, ValueError) as e:
        # Raised too if this host is not part of the cluster or versions differ.
        raise ValueError(f"no Ray cluster at {address}: {errors.one_line(e)}") from e


def _check_reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"ray_address must be auto or HOST:PORT, got {address!r}")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as e:
        raise ValueError(f"no Ray cluster at {address}: {errors.one_line(e)}") from e


def hosts() -> list[HostResources]:
    """Returns the hosts that are alive."""
    import ray

    return [
        HostResources(
            ip=node["NodeManagerAddress"],
            num_cpus=node["Resources"].get("CPU", 0.0),
            num_gpus=node["Resources"].get("GPU", 0.0),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def lost(host_id: str) -> bool:
    """Returns whether Ray counts the host of this id as lost."""
    import ray

    return host_id not in {n["NodeID"] for n in ray.nodes() if n["Alive"]}


def describe() -> str:
    """Describes the cluster's resources."""
    import ray

    resources = ray.cluster_resources()
    return f"{resources.get('CPU', 0):g} CPU, {resources.get('GPU', 0):g} GPU"


def reason(error: BaseException) -> str:
    """Summarises an exception of Ray, which may fill a page, in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    match = re.search(r"(The actor (?:is dead|died) because.*|Worker exit.*)", text)
    text = match.group(1) if match else text
    return text if len(text) <= 200 else text[:197] + "..."


def disconnect() -> None:
    """Leaves the cluster; ends a private one."""
    import ray

    ray.shutdown()
