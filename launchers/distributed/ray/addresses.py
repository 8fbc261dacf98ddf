"""Addresses of nodes on the hosts that Ray chose.

A node's process reports its host's IP and free ports; then Launchpad's addresses are
bound. Courier and Reverb listen on all interfaces, so any host may connect.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Sequence

from launchpad import address as lp_address
from launchpad.nodes import base

from launchers.distributed import launchpad_internals

# Above the ports of Ray's workers (10002 to 19999), below those that systems assign to
# clients, so that a restarted node finds its port free.
PORTS = range(20_000, 30_000)


class HostAddressBuilder(lp_address.AbstractAddressBuilder):
    """Builder of the address of a port on a host that other hosts can reach."""

    def __init__(self, ip: str, port: int):
        self._address = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"

    def build(self) -> str:
        """Returns IP:PORT."""
        return self._address


class Ports:
    """Free ports, held from the choice until the node binds them."""

    def __init__(self, count: int, wanted: Sequence[int] = ()):
        """Finds free ports.

        Args:
          count: number of ports.
          wanted: ports of the node's previous process, which are taken and not held.

        Raises:
          OSError: none of `PORTS` is free.
        """
        self.numbers: list[int] = list(wanted)
        self._sockets: list[socket.socket] = []
        candidates = random.SystemRandom().sample(PORTS, len(PORTS))
        while len(self.numbers) < count:
            if not candidates:
                raise OSError(f"no free port from {PORTS[0]} to {PORTS[-1]}")
            held = socket.socket()
            try:
                held.bind(("", candidates.pop()))
            except OSError:
                held.close()
                continue
            self._sockets.append(held)
            self.numbers.append(held.getsockname()[1])

    def release(self) -> None:
        """Releases the ports for the node."""
        while self._sockets:
            self._sockets.pop().close()


def serving(nodes: Iterable[base.Node]) -> set[int]:
    """Returns the `id` of each node of which another node of the program has a handle.

    These must keep their addresses when they are restarted; the others may restart
    anywhere.
    """
    nodes = list(nodes)
    used = {id(handle) for node in nodes for handle in node.input_handles}
    return {
        id(node)
        for node in nodes
        if any(id(handle) in used for handle in launchpad_internals.handles_of(node))
    }
