"""Client that retries calls to unreachable nodes and logs each unreachable node.

A Courier client that waits for its server follows gRPC's back-off, up to two minutes
between attempts, and raises if the server dies during a call. Here each attempt fails
soon and is repeated by a new client until the program stops.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import courier
from absl import logging

from agents.builder import Stopped
from launchers.common import backoff
from launchers.distributed import launchpad_internals

_CALL_SECONDS = 60.0  # limit of one attempt
_BACKOFF_SECONDS = (0.2, 3.0)  # wait after the first failure, and longest wait

Waiting = Callable[[str], contextlib.AbstractContextManager[Any]]


class RetryingClient:
    """Client with a node's methods; a call returns when the node has answered.

    A call during which the node dies is repeated, so it may take effect twice.
    """

    def __init__(
        self,
        client: courier.Client,
        name: str,
        stop: threading.Event,
        waiting: Waiting = contextlib.nullcontext,
    ):
        """Prepares its own clients of the same address.

        Args:
          client: a client of the node.
          name: name of the node, for messages.
          stop: set when the program stops, which ends a wait with `Stopped`.
          waiting: entered with a text while the node is unreachable; see `Heartbeat`.
        """
        self._address = client.address
        self._name = name
        self._stop = stop
        self._waiting = waiting
        self._client: courier.Client | None = None

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return self._attempt(method, *args, **kwargs)
            except launchpad_internals.CourierError as e:
                if not launchpad_internals.is_unreachable(e):
                    raise
            logging.warning("%s is away: %s waits", self._name, method)
            with self._waiting(f"{self._name}, which is away"):
                return self._until_answered(method, *args, **kwargs)

        return call

    def _attempt(self, method: str, *args: Any, **kwargs: Any) -> Any:
        client = self._client
        if client is None:
            client = self._client = courier.Client(
                self._address, call_timeout=_CALL_SECONDS, wait_for_ready=False
            )
        try:
            return getattr(client, method)(*args, **kwargs)
        except launchpad_internals.CourierError:
            self._client = None  # gRPC's back-off would continue in the old one
            raise

    def _until_answered(self, method: str, *args: Any, **kwargs: Any) -> Any:
        failures = 1
        while not self._stop.wait(backoff.seconds(failures, *_BACKOFF_SECONDS)):
            try:
                return self._attempt(method, *args, **kwargs)
            except launchpad_internals.CourierError as e:
                if not launchpad_internals.is_unreachable(e):
                    raise
            failures += 1
        raise Stopped(f"{self._name} is away")
