"""Nodes of the benchmark: processes that communicate over a pipe each.

They are forked by a server that has only imported the libraries, so that a node starts
quickly. A node whose parent is gone ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pathlib
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from datasets.collection import worker_pool
from datasets.rlds import errors

_START_SECONDS = 600.0  # long, because the machine may be busy
_JOIN_SECONDS = 5.0
_PRELOAD = ["benchmarks.load.real", "benchmarks.load.saturation"]


class Failed(RuntimeError):
    """Raised when a node fails; the message names it."""


class Node:
    """A node's process, which sends pairs of a kind and a content."""

    def __init__(
        self, logs: pathlib.Path, name: str, function: Callable[..., None], *args: Any
    ):
        """Starts `function(pipe, *args)`.

        Args:
          logs: directory for the nodes' output.
          name: name of the node.
          function: top-level function of a module.
          *args: picklable arguments of the function.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOAD)
        self.name = name
        self._log = logs / f"{name}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_main,
            args=(theirs, self._log, function, args),
            name=name,
            daemon=True,
        )
        with worker_pool.child_surroundings():
            self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """The pid of the process."""
        pid = self._process.pid
        assert pid is not None  # the process was started
        return pid

    def send(self, message: Any) -> None:
        """Sends a message, without effect if the node is gone (see `receive`)."""
        with contextlib.suppress(OSError):
            self._pipe.send(message)

    def receive(self, kind: str, seconds: float = _START_SECONDS) -> Any:
        """Waits for a message of a kind and drops others; returns its content.

        Raises:
          Failed: the node failed, is gone or took longer.
        """
        end = time.monotonic() + seconds
        while True:
            message = self.poll(end - time.monotonic())
            if message is None:
                raise Failed(f"{self.name} sent no {kind!r} in {seconds:.0f} s")
            if message[0] == kind:
                return message[1]

    def poll(self, seconds: float = 0.0) -> tuple[str, Any] | None:
        """Returns the next message, or None if it does not arrive in time.

        Raises:
          Failed: the node failed or is gone.
        """
        try:
            if not self._pipe.poll(max(0.0, seconds)):
                return None
            message = self._pipe.recv()
        except (EOFError, OSError) as e:
            self._process.join(_JOIN_SECONDS)
            raise Failed(
                f"{self.name} is gone (exit code {self._process.exitcode}, log: "
                f"{self._log})"
            ) from e
        if message[0] == "error":
            raise Failed(f"{self.name}: {message[1]} (traceback: {self._log})")
        return message

    def stop(self) -> None:
        """Closes the pipe, which ends the node."""
        self._pipe.close()

    def join(self) -> None:
        """Waits until the process has ended, up to a limit."""
        self._process.join(_JOIN_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


@contextlib.contextmanager
def running(logs: pathlib.Path) -> Iterator[Callable[..., Node]]:
    """Yields a function that starts a node by name; ends all nodes with the block.

    Args:
      logs: directory for the nodes' output.
    """
    nodes: list[Node] = []

    def start(name: str, function: Callable[..., None], *args: Any) -> Node:
        nodes.append(Node(logs, name, function, *args))
        return nodes[-1]

    try:
        yield start
    finally:
        for node in nodes:
            node.stop()
        for node in nodes:
            node.join()


def wait_for_end(pipe: Connection) -> None:
    """Waits until the parent closes the pipe or asks for the end."""
    with contextlib.suppress(EOFError, OSError):
        pipe.recv()


def _main(
    pipe: Connection, log: pathlib.Path, function: Callable[..., None], args: Any
) -> None:
    worker_pool.end_with_parent()
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        function(pipe, *args)
    except (BrokenPipeError, EOFError):
        pass  # The parent is gone.
    except BaseException as e:
        traceback.print_exc()
        with contextlib.suppress(OSError):
            pipe.send(("error", errors.named(e)))
    # Without clean-up, as threads of gRPC and Courier may wait for nodes that are gone.
    pipe.close()
    os._exit(0)
