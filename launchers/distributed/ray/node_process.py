"""Ray actor that runs one node in its own process, with its output and stop.

The node runs in a thread that Launchpad's worker manager owns, so `lp.stop_event` and
`lp.wait_for_stop` work as in any other launch; `lp.stop` is reported to the launcher,
which stops the program. Ray ends the process when its launcher or its host's daemon is
gone, so no node is left behind.
"""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import pickle
import sys
import tarfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from launchers.common import atomic_files
from launchers.distributed.ray import log_sync

if TYPE_CHECKING:
    from launchers.distributed.ray import addresses

TOKEN = ".ray_launcher"  # in the work directory while a launcher runs
OUTPUT = "logs/output"  # in the work directory: GROUP/INDEX


@dataclasses.dataclass(frozen=True)
class Launcher:
    """A worker's information on its launcher."""

    workdir: str  # absolute; the same path on every host
    token: str  # content of `TOKEN` on hosts that see the launcher's work directory
    directory: str  # current directory, from which relative paths start
    arguments: tuple[str, ...]  # flags as on the command line, with the program's name
    # Path -> reference to the result of `pack`, unpacked where the path is missing.
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Placed:
    """Location of a node's process."""

    ip: str
    host_id: str  # Ray's id, which changes when the host joins again
    pid: int
    ports: tuple[int, ...]
    shares: bool  # whether the host sees the launcher's work directory
    found: log_sync.Positions  # ends of logs from before the process


class NodeProcess:
    """Process of one node. Ray calls each method in a separate thread."""

    def __init__(self, name: str, launcher: Launcher):
        """Gives the process the launcher's directory and flags.

        Args:
          name: GROUP/INDEX.
          launcher: the program's launcher.

        Raises:
          OSError: the launcher's directories cannot be made on this host.
        """
        import ray
        from launchpad.launch import worker_manager

        self._name = name
        self._launcher = launcher
        self._ports: addresses.Ports | None = None
        self._stop_requested = threading.Event()
        self._found = log_sync.ends(launcher.workdir)
        _redirect_output(pathlib.Path(launcher.workdir) / OUTPUT / name)
        pathlib.Path(launcher.directory).mkdir(parents=True, exist_ok=True)
        os.chdir(launcher.directory)
        for path, packed in launcher.inputs.items():
            if not os.path.exists(path):
                unpack(path, ray.get(packed))

        flags.FLAGS(launcher.arguments, known_only=True)
        # In the process's main thread, because the first one installs signal handlers.
        self._manager = worker_manager.WorkerManager(
            kill_main_thread=False, register_signals=False
        )

    def place(self, num_ports: int, wanted: Sequence[int] = ()) -> Placed:
        """Finds ports, and returns the location of the process.

        Args:
          num_ports: number of the node's addresses, each of which takes a port.
          wanted: ports of the node's previous process.
        """
        import ray

        from launchers.distributed.ray import addresses

        self._ports = ports = addresses.Ports(num_ports, wanted)
        ip = ray.util.get_node_ip_address()
        print(
            f"--- {time.strftime('%F %T')} {self._name} on {ip}, process {os.getpid()}"
        )
        return Placed(
            ip=ip,
            host_id=ray.get_runtime_context().get_node_id(),
            pid=os.getpid(),
            ports=tuple(ports.numbers),
            shares=self._shares(),
            found=self._found,
        )

    def _shares(self) -> bool:
        path = pathlib.Path(self._launcher.workdir) / TOKEN
        return path.is_file() and path.read_text() == self._launcher.token

    def run(self, packed: bytes) -> str | None:
        """Runs the node until it ends.

        Args:
          packed: the pickled Launchpad node, its addresses bound.

        Returns:
          None, or the exception that ended it, in one line.
        """
        from launchpad import context

        try:
            node = pickle.loads(packed)
            # Modules loaded for the node may have defined flags.
            flags.FLAGS(self._launcher.arguments, known_only=True)
            # As in Launchpad's tests, another launcher supervises this process.
            node.launch_context.initialize(
                context.LaunchType.TEST_MULTI_PROCESSING,
                launch_config=None,
                program_stopper=self._request_stop,
            )
            if self._ports is not None:
                self._ports.release()
            self._manager.thread_worker(self._name, node.function)
            self._manager.wait()
        except (Exception, SystemExit) as e:
            if isinstance(e, SystemExit) and not e.code:
                return None
            if self._manager.stop_event().is_set():
                # Other nodes may be gone before this one.
                print(f"while it stopped: {e!r}")
                return None
            traceback.print_exc()
            return traceback.format_exception_only(type(e), e)[-1].strip()
        finally:
            sys.stdout.flush()
        return None

    def _request_stop(self, mark_as_completed: bool = False) -> None:
        del mark_as_completed
        self._stop_requested.set()

    def wait_for_stop_request(self) -> None:
        """Waits until the node has called `lp.stop`."""
        self._stop_requested.wait()

    def stop(self) -> None:
        """Asks the node to stop."""
        from launchers.distributed import launchpad_internals

        self._manager.stop_event().set()
        launchpad_internals.call_stop_handlers()

    def read_logs(self, since: log_sync.Positions) -> dict[str, log_sync.Change]:
        """Reads the new logs of this host."""
        return log_sync.read(self._launcher.workdir, since)


def given_flags() -> tuple[str, ...]:
    """Returns the flags that were given to this process, as on a command line."""
    known = (flags.FLAGS[name] for name in flags.FLAGS)
    given = {flag for flag in known if flag.present and flag.value is not None}
    lines = {line for flag in given for line in flag.serialize().splitlines()}
    return (sys.argv[0], *sorted(lines))


def _redirect_output(path: pathlib.Path) -> None:
    """Appends the output of this process and its libraries to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as f:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(f.fileno(), 1)
        os.dup2(f.fileno(), 2)
    sys.stdout = os.fdopen(1, "w", buffering=1, errors="replace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="replace", closefd=False)


def pack(path: str) -> bytes:
    """Packs a directory into a tar file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(path, arcname=".")
    return packed.getvalue()


def unpack(path: str, packed: bytes) -> None:
    """Makes a directory from the result of `pack`, unless it exists."""
    target = pathlib.Path(path)
    if target.exists():
        return
    # Another node of this host may unpack it first.
    with (
        atomic_files.new_directory(target) as directory,
        tarfile.open(fileobj=io.BytesIO(packed)) as tar,
    ):
        tar.extractall(directory)
