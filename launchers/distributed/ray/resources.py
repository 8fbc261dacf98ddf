"""Resources that the nodes of each group need, and their placement on hosts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from launchers.distributed import process_env

SPREAD = "spread"
PACK = "pack"

# Share of the resource that every Ray host has under its IP, for up to 10,000 nodes.
_HOST_SHARE = 0.0001


@dataclasses.dataclass(frozen=True)
class RayResources:
    """Resources of each node of a group.

    Ray counts CPUs and starts no more nodes than fit; it binds no process to a core.
    """

    num_cpus: float = 0.0
    num_gpus: float = 0.0
    memory_bytes: int = 0  # 0: not counted
    placement: str = PACK  # or spread; Ray's hybrid policy packs
    host: str | None = None  # IP of the only host allowed
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    dispensable: bool = False  # an exception after a while restarts the node

    def __post_init__(self) -> None:
        """Raises ValueError for invalid values."""
        if self.placement not in (SPREAD, PACK):
            raise ValueError(
                f"placement must be {SPREAD} or {PACK}, got {self.placement!r}"
            )
        for name in ("num_cpus", "num_gpus", "memory_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"{name} must not be negative, got {getattr(self, name)}"
                )

    def options(self) -> dict[str, Any]:
        """Returns Ray's options of an actor."""
        options: dict[str, Any] = {
            "num_cpus": self.num_cpus,
            "num_gpus": self.num_gpus,
            "scheduling_strategy": "SPREAD" if self.placement == SPREAD else "DEFAULT",
        }
        if self.memory_bytes:
            options["memory"] = self.memory_bytes
        if self.host is not None:
            # By IP, because a host that joins again has a new id.
            options["resources"] = {f"node:{self.host}": _HOST_SHARE}
        if self.env:
            options["runtime_env"] = {"env_vars": dict(self.env)}
        return options

    def fit(self, host: HostResources) -> bool:
        """Returns whether the node fits on a host that runs nothing else."""
        return (
            self.host in (None, host.ip)
            and self.num_cpus <= host.num_cpus
            and self.num_gpus <= host.num_gpus
        )

    def __str__(self) -> str:
        parts = [f"{self.num_cpus:g} CPU, {self.num_gpus:g} GPU"]
        if self.memory_bytes:
            parts.append(f"{self.memory_bytes} bytes of memory")
        return ", ".join(parts) + (f" on {self.host}" if self.host else "")

    def at(self, host: str) -> RayResources:
        """Returns the same resources, bound to one host."""
        return dataclasses.replace(self, host=host)


@dataclasses.dataclass(frozen=True)
class HostResources:
    """Resources of a host of the cluster, as counted by Ray."""

    ip: str
    num_cpus: float
    num_gpus: float


def for_experiment(
    hosts: Sequence[HostResources], launcher: str
) -> dict[str, RayResources]:
    """Assigns the groups of an experiment's program to hosts.

    Learner, replay and evaluator go to one host: the launcher's, or the first with a
    GPU where the launcher's has none. The coordinator runs on the launcher's host,
    because it writes into its work directory. Each actor takes a CPU on any host; the
    others need little or share CPUs.

    Args:
      hosts: hosts of the cluster.
      launcher: IP of the launcher's host.

    Returns:
      Resources by group; "" holds those of any other group.
    """
    gpus = sorted(
        (h.ip for h in hosts if h.num_gpus >= 1), key=lambda ip: ip != launcher
    )
    centre = gpus[0] if gpus else launcher

    def of(group: str, **needs: Any) -> RayResources:
        return RayResources(
            env=process_env.variables(group, gpu=needs.get("num_gpus", 0) > 0),
            dispensable=process_env.dispensable(group),
            **needs,
        )

    return {
        "": of("", host=centre),
        "coordinator": of("coordinator", host=launcher),
        "learner": of("learner", num_cpus=1, num_gpus=min(1, len(gpus)), host=centre),
        "evaluator": of("evaluator", host=centre),
        "actor": of("actor", num_cpus=1, placement=SPREAD),
    }


def of_group(resources: Mapping[str, RayResources], group: str) -> RayResources:
    """Returns the resources of a group; those under "" if it is not named."""
    return resources.get(group) or resources.get("") or RayResources()
