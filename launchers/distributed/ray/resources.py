"""What the nodes of a group need of a host, and where they go."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from launchers.distributed import process_env

SPREAD = "spread"
PACK = "pack"

# Of the resource that every Ray host has under its IP: enough for 10,000 nodes.
_HOST_SHARE = 0.0001


@dataclasses.dataclass(frozen=True)
class RayResources:
    """Of each node of a group.

    Ray counts CPUs, and starts no more nodes than fit; it binds nothing to a core.
    """

    num_cpus: float = 0.0
    num_gpus: float = 0.0
    memory_bytes: int = 0  # 0: not counted
    placement: str = PACK  # or spread; Ray's own hybrid policy packs
    host: str | None = None  # an IP: there and nowhere else
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    dispensable: bool = False  # an exception, later on, restarts the node

    def __post_init__(self) -> None:
        """Raises ValueError for what no host can have."""
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
        """As Ray takes them for an actor."""
        options: dict[str, Any] = {
            "num_cpus": self.num_cpus,
            "num_gpus": self.num_gpus,
            "scheduling_strategy": "SPREAD" if self.placement == SPREAD else "DEFAULT",
        }
        if self.memory_bytes:
            options["memory"] = self.memory_bytes
        if self.host is not None:
            # By IP and not by Ray's id: a host that joins again has a new id.
            options["resources"] = {f"node:{self.host}": _HOST_SHARE}
        if self.env:
            options["runtime_env"] = {"env_vars": dict(self.env)}
        return options

    def fit(self, host: HostResources) -> bool:
        """Whether a host that runs nothing else could take the node."""
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
        """The same on one host."""
        return dataclasses.replace(self, host=host)


@dataclasses.dataclass(frozen=True)
class HostResources:
    """A host of the cluster as Ray counts it."""

    ip: str
    num_cpus: float
    num_gpus: float


def for_experiment(
    hosts: Sequence[HostResources], launcher: str
) -> dict[str, RayResources]:
    """The groups of our program on these hosts.

    Learner, replay and evaluator are on one host: the launcher's, or the first with a
    GPU where the launcher's has none. The coordinator is the launcher's neighbour, for
    it writes into its work directory. Actors take a CPU each,
    wherever there is one; the rest is small or shares.

    Args:
      hosts: of the cluster.
      launcher: IP of the launcher's.

    Returns:
      Resources by group; "" is any other group's.
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
    """A group's; what stands under "" for one that is not named."""
    return resources.get(group) or resources.get("") or RayResources()
