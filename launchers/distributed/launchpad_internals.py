"""All uses of private names of Launchpad 0.5 and Courier.

A new release may rename any of these; then only this module changes.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import courier  # noqa: F401  loads the module used below
import launchpad as lp
from launchpad.launch import worker_manager
from launchpad.launch.local_multi_processing import commands as mp_commands
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


def commands_of(
    nodes: Sequence[base.Node], label: str, scratch: pathlib.Path
) -> tuple[list[mp_commands.Command], int]:
    """Returns commands of the prepared nodes of a group, each to run one process.

    Launchpad writes what they unpickle into the directory of temporary files, where it
    would stay after a kill. Here it moves to a file without a name.

    Args:
      nodes: the nodes.
      label: name of the group.
      scratch: directory to make and to remove.

    Returns:
      The commands, and the descriptor of that file, which the processes must inherit.
    """
    before = tempfile.tempdir
    scratch.mkdir(parents=True)
    tempfile.tempdir = str(scratch)
    try:
        commands = nodes[0].to_executables(nodes, label, nodes[0].launch_context)
        (data,) = scratch.glob("*/*")
        content = data.read_bytes()
    finally:
        tempfile.tempdir = before
        shutil.rmtree(scratch)
    descriptor = os.memfd_create(f"nodes of {label}")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    for command in commands:
        arguments = command.command_as_list
        arguments[arguments.index(str(data))] = f"/proc/self/fd/{descriptor}"
    return commands, descriptor


def handles_of(node: base.Node) -> Sequence[base.Handle]:
    """Returns the handles through which other nodes use this one."""
    return node._created_handles


def call_stop_handlers() -> None:
    """Calls the handlers registered by `lp.register_stop_handler` in this process."""
    handlers = worker_manager._SIGNAL_HANDLERS or {}
    if signal.SIGUSR1 in handlers:
        worker_manager._signal_dispatcher(signal.SIGUSR1)
