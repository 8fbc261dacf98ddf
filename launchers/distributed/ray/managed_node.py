"""A node of a Launchpad program as the manager knows it."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from launchpad.nodes import base

from launchers.distributed.ray import addresses, node_process
from launchers.distributed.ray.resources import RayResources


@dataclasses.dataclass(eq=False)
class ManagedNode:
    """A node and the process that it has, if any."""

    group: str
    index: int
    node: base.Node
    serves: bool
    needs: RayResources
    phase: str = "waiting"  # then placing, placed, running; ended
    start_at: float = 0.0  # when waiting
    since: float = 0.0  # in this phase
    stop_by: float | None = None  # asked to stop, and killed then
    process: Any = None  # Ray's handle
    placed: node_process.Placed | None = None  # also of the life before

    @property
    def name(self) -> str:
        """GROUP/INDEX."""
        return f"{self.group}/{self.index}"

    @property
    def logs_elsewhere(self) -> str | None:
        """The IP of its host, if that does not see the launcher's work directory."""
        if self.placed is None or self.placed.shares:
            return None
        return self.placed.ip

    def enter(self, phase: str) -> None:
        """Changes the phase."""
        self.phase, self.since = phase, time.monotonic()

    def bind(self, node: base.Node) -> None:
        """Gives a node, this one or its equal, the addresses of this one's process."""
        assert self.placed is not None, f"{self.name} has no process"
        for address, port in zip(node.addresses, self.placed.ports, strict=True):
            address.bind(addresses.HostAddressBuilder(self.placed.ip, port))
