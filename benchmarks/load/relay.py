"""Relay between clients and a local server, which counts the bytes that it carries."""

from __future__ import annotations

import contextlib
import socket
import threading

_CHUNK = 1 << 16


class Relay:
    """Relay that passes bytes on both ways and counts them; a context manager."""

    def __init__(self, port: int, host: str = "127.0.0.1"):
        """Prepares the relay.

        Args:
          port: port of the server.
          host: address of this machine to which clients connect.
        """
        self._server_port = port
        self._listener = socket.create_server((host, 0))
        self._lock = threading.Lock()
        self.bytes = 0

    @property
    def port(self) -> int:
        """The port to which clients connect."""
        return self._listener.getsockname()[1]

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # The connection was closed.
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                with self._lock:  # first, so that all arrived bytes count
                    self.bytes += len(data)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
