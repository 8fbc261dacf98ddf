"""Runs a Launchpad program as processes of this machine and restarts those that die.

Launchpad's own launcher (`local_mp`) ends the program when the first process ends. Here
a process that was killed is restarted, within limits (`restart_policy`); one that
raised ends the program, unless that may be the result of another's death.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import launchpad as lp
from launchpad.nodes.python.local_multi_processing import PythonProcess

from filesystem import regular_files
from launchers.common import atomic_files, signals
from launchers.common.private_network import PrivateNetwork
from launchers.distributed import launchpad_internals, process_env
from launchers.distributed.restart_policy import Failed, Loss, RestartPolicy, Restarts

GRACE_SECONDS = 10.0  # between the request to stop and the kill

_POLL_SECONDS = 0.1


class Node:
    """A node's process, and how to start it."""

    def __init__(
        self,
        name: str,
        command: list[str],
        env: Mapping[str, str],
        out: pathlib.Path,
        network: PrivateNetwork | None = None,
        descriptors: Sequence[int] = (),
    ):
        """Prepares; the process inherits the descriptors."""
        self.name = name
        self.group = name.split("/")[0]
        self._command = command if network is None else network.wrapped(command)
        self._descriptors = [*descriptors, *(network.descriptors if network else ())]
        self._env = {**os.environ, **env, process_env.LAUNCHER: str(os.getpid())}
        self._out = out
        self._process: subprocess.Popen | None = None
        self.due: float | None = 0.0  # time of the next start; None: runs or has ended
        self.began = 0.0

    def start(self, now: float) -> None:
        """Starts the process; appends its output to its file."""
        self._out.parent.mkdir(parents=True, exist_ok=True)
        with self._out.open("a") as out:
            self._process = subprocess.Popen(
                self._command,
                env=self._env,
                stdout=out,
                stderr=out,
                pass_fds=self._descriptors,
            )
        self.due, self.began = None, now

    def ended(self) -> int | None:
        """Returns the exit code of an ended process, once; None otherwise."""
        if self._process is None or self._process.poll() is None:
            return None
        code, self._process = self._process.returncode, None
        return code

    @property
    def alive(self) -> bool:
        """Whether the process runs, as of the last call of `ended`."""
        return self._process is not None

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process, if there is one."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def last_exception(self) -> str | None:
        """Returns the last line of its output that names an exception."""
        with contextlib.suppress(OSError):
            return last_exception(regular_files.read_text(self._out, errors="replace"))
        return None


def last_exception(text: str) -> str | None:
    """Returns the line of the last exception in an output; None if there is none."""
    lines = text.strip().splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("Traceback")]
    if not starts:
        return None
    named = [line for line in lines[starts[-1] + 1 :] if line[:1].isalpha()]
    return named[-1] if named else None


class Processes:
    """The processes of a running program."""

    def __init__(
        self,
        nodes: list[Node],
        dispensable: Callable[[str], bool],
        report: Callable[[str], None],
        policy: RestartPolicy | None = None,
        descriptors: Sequence[int] = (),
    ):
        """Prepares; `wait` closes the descriptors, which the nodes inherit."""
        self._nodes = nodes
        self._descriptors = descriptors
        self._dispensable = dispensable
        self._report = report
        self._restarts = Restarts(policy)
        self._stop = threading.Event()
        self._kill = threading.Event()
        self._asked: float | None = None  # when the processes were asked to stop
        self._failure: str | None = None

    def wait(self) -> None:
        """Waits until the program has stopped; SIGTERM and SIGINT stop it.

        Raises:
          RuntimeError: a node failed; the others have been stopped.
        """
        try:
            with signals.handled(self._on_signal):
                self._look_after_all()
        finally:
            for descriptor in self._descriptors:
                os.close(descriptor)
        if self._failure is not None:
            raise RuntimeError(self._failure)

    def _look_after_all(self) -> None:
        while True:
            now = time.monotonic()
            for node in self._nodes:
                self._look_after(node, now)
            if self._stop.is_set():
                self._end(now)
                if not any(node.alive for node in self._nodes):
                    return
            elif not any(n.alive or n.due is not None for n in self._nodes):
                return
            time.sleep(_POLL_SECONDS)

    def _look_after(self, node: Node, now: float) -> None:
        if node.due is not None and now >= node.due and not self._stop.is_set():
            node.start(now)
            return
        code = node.ended()
        if not code or self._stop.is_set():
            return
        try:
            node.due = now + self._delay(node, code, now)
        except Failed as e:
            self._failure = str(e)
            self._stop.set()

    def _delay(self, node: Node, code: int, now: float) -> float:
        if code < 0:
            reason = f"killed by {signal.Signals(-code).name}"
            after = self._restarts.after_death
        else:
            reason = node.last_exception() or f"it exited with code {code}"
            after = self._restarts.after_exception
        peers = {
            other.name: now - other.began
            for other in self._nodes
            if other.group == node.group and other.alive
        }
        dispensable = self._dispensable(node.group)
        delay = after(
            Loss(node.name, reason, now - node.began, dispensable, peers), now
        )
        self._report(
            f"warning: {node.name} is gone ({reason}); it is started again in "
            f"{delay:.0f} s"
        )
        return delay

    def _end(self, now: float) -> None:
        if self._asked is None:
            self._asked = now
            for node in self._nodes:
                node.send(signal.SIGTERM)
        elif self._kill.is_set() or now - self._asked > GRACE_SECONDS:
            for node in self._nodes:
                node.send(signal.SIGKILL)

    def _on_signal(self, number: int) -> None:
        """Stops on SIGTERM (also of `lp.stop`) and SIGINT; kills on a second SIGINT."""
        if number == signal.SIGINT and self._stop.is_set():
            self._kill.set()
        self._stop.set()


def launch(
    program: lp.Program,
    resources: Mapping[str, PythonProcess],
    output: pathlib.Path,
    dispensable: Callable[[str], bool] = lambda group: False,
    report: Callable[[str], None] = print,
    policy: RestartPolicy | None = None,
    network: PrivateNetwork | None = None,
) -> Processes:
    """Prepares the processes of a program; `Processes.wait` runs them.

    Args:
      program: program to run.
      resources: resources by group.
      output: directory of the nodes' output, in files `GROUP/INDEX`.
      dispensable: tells of a group whether a single failure of its nodes is harmless.
      report: receives a line when a node is restarted.
      policy: limits of restarts.
      network: network of the processes; None is that of this process.
    """
    for label, nodes in program.groups.items():
        for node in nodes:
            launchpad_internals.prepare_local_process(node, resources.get(label))
    for label, nodes in program.groups.items():
        for node in nodes:
            for handle in node.input_handles:
                handle.connect(node, label)
    for node in program.get_all_nodes():
        node.bind_addresses()
    started, descriptors = [], []
    scratch = atomic_files.temporary(output)
    for label, nodes in program.groups.items():
        commands, job = launchpad_internals.commands_of(nodes, label, scratch)
        descriptors.append(job)
        for i, command in enumerate(commands):
            name = f"{label}/{i}"
            started.append(
                Node(
                    name,
                    command.command_as_list,
                    command.env_overrides,
                    output / label / str(i),
                    network,
                    [job],
                )
            )
    return Processes(started, dispensable, report, policy, descriptors)
