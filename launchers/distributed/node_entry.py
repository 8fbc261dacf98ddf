"""Entry into a node: the first call in the process or thread of each node."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time

import launchpad as lp
from launchpad import context

from launchers.distributed import process_env

POLL_SECONDS = 0.5  # between checks of the stop event by nodes that wait

_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 8.0  # less than the 10 after which launchers kill


def enter_node() -> threading.Event:
    """Ties a process to its launcher; returns the event that stops the node.

    Every node calls it first, in its own thread.
    """
    if context.get_context().launch_type is lp.LaunchType.LOCAL_MULTI_PROCESSING:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        _exit_after_signal()
        if os.environ.get(process_env.LAUNCHER) not in (None, str(os.getppid())):
            os.kill(os.getpid(), signal.SIGTERM)  # The launcher had already died.
    return lp.stop_event()


def _exit_after_signal() -> None:
    """Ends this process some seconds after SIGTERM or SIGINT, whatever it is doing.

    Python runs signal handlers in the main thread only, after its current call returns;
    a call to a node that is gone never returns. A pipe wakes this thread instead: it is
    written to when the signal arrives.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def wait() -> None:
        while not {signal.SIGTERM, signal.SIGINT} & set(os.read(read, 1)):
            pass
        time.sleep(_GRACE_SECONDS)
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
