"""The one module that uses what Launchpad 0.5 and Courier keep private.

A new release may rename any of these; then this module is what changes.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Any

import courier  # noqa: F401  brings the module below
import launchpad as lp
from launchpad.launch import worker_manager
from launchpad.nodes import base
from launchpad.nodes.python.local_multi_processing import PythonProcess

# Courier's errors; pybind compiles the module into Courier, so no file can be imported.
_status = sys.modules["pybind11_abseil.status"]

CourierError = _status.StatusNotOk  # of a call; also carries what the server raised

# What a server that is away or dies makes of a call. Anything else is an answer.
_UNREACHABLE = (
    _status.StatusCode.UNAVAILABLE,
    _status.StatusCode.DEADLINE_EXCEEDED,
    _status.StatusCode.CANCELLED,
)


def is_unreachable(error: Any) -> bool:
    """Whether a `CourierError` means that the server is away: it is no answer of it."""
    return error.status.code() in _UNREACHABLE


def prepare_local_process(node: base.Node, resources: PythonProcess | None) -> None:
    """Prepares a node to run as a process of this machine."""
    node._initialize_context(lp.LaunchType.LOCAL_MULTI_PROCESSING, resources)


def handles_of(node: base.Node) -> Sequence[base.Handle]:
    """The handles through which other nodes use this one."""
    return node._created_handles


def call_stop_handlers() -> None:
    """Runs the handlers that `lp.register_stop_handler` was given in this process."""
    handlers = worker_manager._SIGNAL_HANDLERS or {}
    if signal.SIGUSR1 in handlers:
        worker_manager._signal_dispatcher(signal.SIGUSR1)
