"""The manager's record of a node of a Launchpad program."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from launchpad.nodes import base

from launchers.distributed.ray import addresses, node_process
from launchers.distributed.ray.resources import RayResources


@dataclasses.dataclass(eq=False)
class ManagedNode:
    """A node and its process, if it has one."""

    group: str
    index: int
    node: base.Node
    serves: bool
    needs: RayResources
    phase: str = "waiting"  # then placing, placed, running; ended
    start_at: float = 0.0  # time of the next start, of a node that waits
    since: float = 0.0  # time at which the phase began
    stop_by: float | None = None  # time of the kill, of a node that was asked to stop
    process: Any = None  # Ray's handle
    placed: node_process.Placed | None = None  # of this or the previous process

    @property
    def name(self) -> str:
        """GROUP/INDEX."""
        return f"{self.group}/{self.index}"

    @property
    def logs_elsewhere(self) -> str | None:
        """The IP of its host, or None if that sees the launcher's work directory."""
        if self.placed is None or self.placed.shares:
            return None
        return self.placed.ip

    def enter(self, phase: str) -> None:
        """Changes the phase and notes the time."""
        self.phase, self.since = phase, time.monotonic()

    def bind(self, node: base.Node) -> None:
        """Binds a node, this one or its equal, to the addresses of this process."""
        assert self.placed is not None, f"{self.name} has no process"
        for address, port in zip(node.addresses, self.placed.ports, strict=True):
            address.bind(addresses.HostAddressBuilder(self.placed.ip, port))
