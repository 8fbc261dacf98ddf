"""All uses of private names of Launchpad 0.5 and Courier.

A new release may rename any of these; then only this module changes.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Any

import courier  # noqa: F401  loads the module used below
import launchpad as lp
from launchpad.launch import worker_manager
from launchpad.nodes import base
from launchpad.nodes.python.local_multi_processing import PythonProcess

# Courier's errors; pybind compiles the module into Courier, so no file can be imported.
_status = sys.modules["pybind11_abseil.status"]

CourierError = _status.StatusNotOk  # of calls; also wraps exceptions of the server

# Codes of calls to a server that is unreachable or dies; any other code is an answer.
_UNREACHABLE = (
    _status.StatusCode.UNAVAILABLE,
    _status.StatusCode.DEADLINE_EXCEEDED,
    _status.StatusCode.CANCELLED,
)


def is_unreachable(error: Any) -> bool:
    """Returns whether a `CourierError` means that the server is unreachable."""
    return error.status.code() in _UNREACHABLE


def prepare_local_process(node: base.Node, resources: PythonProcess | None) -> None:
    """Prepares a node to run as a process on this machine."""
    node._initialize_context(lp.LaunchType.LOCAL_MULTI_PROCESSING, resources)


def handles_of(node: base.Node) -> Sequence[base.Handle]:
    """Returns the handles through which other nodes use this one."""
    return node._created_handles


def call_stop_handlers() -> None:
    """Calls the handlers registered by `lp.register_stop_handler` in this process."""
    handlers = worker_manager._SIGNAL_HANDLERS or {}
    if signal.SIGUSR1 in handlers:
        worker_manager._signal_dispatcher(signal.SIGUSR1)
