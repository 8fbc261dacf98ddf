"""A network of a run's own, which only the run's processes reach.

Courier and Reverb listen on all interfaces (`[::]:PORT` in their C++) and take no other
address. Courier unpickles what it receives: whoever reaches a port runs code as the
user. A run on one machine therefore enters a network namespace of Linux that has no
interface but loopback. Files, signals and /proc are those of the host.

`make` makes a namespace, `enter` moves this process there, before it starts threads,
and `PrivateNetwork.wrapped` a process that is yet to start. An ordinary user needs a
user namespace with it, in which the process keeps its user, its groups and no
capabilities.

Run as a script, this module is the child that makes a namespace, or the wrapper: hence
it imports the standard library only.
"""

from __future__ import annotations

import ctypes
import dataclasses
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence

# <linux/sched.h>, <linux/sockios.h>, <linux/if.h>, <linux/capability.h>
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_DUMPABLE = 4  # <linux/prctl.h>

_SCRIPT = [sys.executable, "-I", "-S", os.path.abspath(__file__)]
_MADE = "made"  # said by the child, with the kinds of namespaces

IN_PROCESS = ("single_process", "local_mt", "test_mt")  # launches whose process listens

_entered = False
_fault: str | None = None  # why this process could not enter


class Unavailable(Exception):
    """Raised where there can be no private network; the message says why, in one line.

    Nothing has changed.
    """


@dataclasses.dataclass(frozen=True)
class PrivateNetwork:
    """A namespace, which lasts as long as a process in it or a descriptor here.

    Attributes:
      net: file descriptor of the network namespace.
      user: file descriptor of the user namespace that owns it; None for a user who may
        enter it without.
    """

    net: int
    user: int | None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """File descriptors that a wrapped process must inherit."""
        return (self.net,) if self.user is None else (self.user, self.net)

    def close(self) -> None:
        """Closes the descriptors; processes in the network stay there."""
        for descriptor in self.descriptors:
            os.close(descriptor)

    def wrapped(self, command: Sequence[str]) -> list[str]:
        """Returns a command that runs `command` in the network.

        The process stays the same: the wrapper enters and becomes `command`.
        """
        return [*_SCRIPT, ",".join(map(str, self.descriptors)), *command]


def make() -> PrivateNetwork:
    """Makes a network, by a child, so that this process stays where it is.

    Raises:
      Unavailable: the system allows none.
    """
    pipe = subprocess.PIPE
    try:
        child = subprocess.Popen(
            _SCRIPT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
    except OSError as e:
        raise Unavailable(str(e)) from e
    with child:  # at its end, closes what the child waits for
        assert child.stdout is not None
        said = child.stdout.readline().strip()
        if not said.startswith(_MADE):
            raise Unavailable(said or "no answer from the child that makes it")
        opened = []
        try:
            for kind in said.split()[1:]:
                opened.append(os.open(f"/proc/{child.pid}/ns/{kind}", os.O_RDONLY))
        except OSError as e:
            for descriptor in opened:
                os.close(descriptor)
            raise Unavailable(str(e)) from e
    *user, net = opened
    return PrivateNetwork(net, user[0] if user else None)


def enter() -> None:
    """Moves this process into a network of its own, for good.

    Raises:
      Unavailable: the system allows none, or this process has threads, because each
        thread would have to enter.
    """
    global _entered
    if _entered:
        return
    if len(os.listdir("/proc/self/task")) > 1:
        raise Unavailable("this process has several threads already")
    network = make()
    try:
        _join(network.descriptors)
        _entered = True
    except OSError as e:
        raise Unavailable(str(e)) from e
    finally:
        network.close()


def enter_for_command(argv: Sequence[str]) -> None:
    """Enters as `enter` does, if a command line asks for a launch of `IN_PROCESS`.

    A command calls it before it imports libraries, many of which start threads.
    `warning` tells of a failure, once the command line has been found valid.
    """
    from absl import flags

    global _fault
    given = flags.FlagValues()
    flags.DEFINE_string("launch", "single_process", "", flag_values=given)
    flags.DEFINE_bool("private_network", True, "", flag_values=given)
    flags.DEFINE_string("seeds", None, "", flag_values=given)
    try:
        given(list(argv), known_only=True)
    except flags.Error:
        return  # the command says what is wrong
    if given["seeds"].value:
        return  # each seed's process has its own
    if given["private_network"].value and given["launch"].value in IN_PROCESS:
        try:
            enter()
        except Unavailable as e:
            _fault = str(e)


def entered() -> bool:
    """Returns whether this process has entered a network of its own."""
    return _entered


def warning(reason: str | None = None) -> str:
    """Returns the line for a run that listens on the host's network.

    Args:
      reason: why it does; None takes what `enter_for_command` met.
    """
    reason = reason or _fault or "its process did not enter one when it started"
    return (
        f"warning: this run has no network of its own ({reason}): who reaches its "
        "ports can run code here; see docs/guides/distributed.md"
    )


def _unshare() -> list[str]:
    """Enters new namespaces; returns their kinds, the owner first."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) == 0:
        return ["net"]
    uid, gid = os.geteuid(), os.getegid()
    # Root without the capability would lose access to other users' files.
    if uid == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    for name, content in (
        ("uid_map", f"{uid} {uid} 1"),
        ("setgroups", "deny"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(content)
    return ["user", "net"]


def _start_loopback() -> None:
    """Brings up the loopback interface, and tries it."""
    with socket.socket() as server, socket.socket() as client:
        request = struct.pack("16sH14x", b"lo", _IFF_UP)
        fcntl.ioctl(server, _SIOCSIFFLAGS, request)
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())


def _join(descriptors: Sequence[int]) -> None:
    """Enters namespaces, the owner first, and drops the capabilities that it gives."""
    libc = ctypes.CDLL(None, use_errno=True)
    for descriptor in descriptors:
        if libc.setns(descriptor, 0):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    if len(descriptors) > 1:
        # They would, for one, let the process write into directories without write
        # permission, where it must fail.
        header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
        if libc.capset(header, bytes(24)):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        # Other capabilities hide the process from its user's debugger and profiler.
        libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def _main(arguments: Sequence[str]) -> None:
    """Makes a network and holds it until stdin closes, or runs a command in one."""
    if not arguments:
        try:
            kinds = _unshare()
            _start_loopback()
        except OSError as e:
            print(e.strerror or e, flush=True)
            return
        print(_MADE, *kinds, flush=True)
        sys.stdin.read()
        return
    descriptors = [int(number) for number in arguments[0].split(",")]
    _join(descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    os.execvp(arguments[1], list(arguments[1:]))


if __name__ == "__main__":
    _main(sys.argv[1:])
