"""A run's own network: who is in it reaches its ports, and the host does not."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys

import pytest

from launchers.common import private_network

ROOT = pathlib.Path(__file__).resolve().parents[3]

# Courier and Reverb bind so: all interfaces, of both families.
_SERVER = """
import os, socket
server = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
print(os.getpid(), server.getsockname()[1], flush=True)
server.accept()
"""
_CLIENT = "import socket, sys; socket.create_connection(('localhost', sys.argv[1]), 5)"


@pytest.fixture
def network():
    try:
        made = private_network.make()
    except private_network.Unavailable as e:
        pytest.skip(f"no private network here: {e}")
    yield made
    made.close()


def _listening(pid):
    """Ports on which anything listens in the network of a process."""
    lines = []
    for name in ("tcp", "tcp6"):
        lines += pathlib.Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return {int(f[1].rsplit(":", 1)[1], 16) for f in fields if f[3] == "0A"}


@contextlib.contextmanager
def _killed(process):
    try:
        yield
    finally:
        process.kill()


def test_only_who_is_in_it_reaches_a_port(network):
    python = [sys.executable, "-c"]
    with (
        subprocess.Popen(
            network.wrapped([*python, _SERVER]),
            pass_fds=network.descriptors,
            stdout=subprocess.PIPE,
            text=True,
        ) as server,
        _killed(server),
    ):
        assert server.stdout is not None
        pid, port = map(int, server.stdout.readline().split())
        assert pid == server.pid  # a signal to the process reaches the server
        assert _listening(pid) == {port}
        assert port not in _listening("self")
        for family, address in (
            (socket.AF_INET, "127.0.0.1"),
            (socket.AF_INET6, "::1"),
        ):
            with socket.socket(family) as outside:
                outside.settimeout(5)
                with pytest.raises(OSError):
                    outside.connect((address, port))
        inside = network.wrapped([*python, _CLIENT, str(port)])
        subprocess.run(inside, pass_fds=network.descriptors, check=True)
        assert server.wait(10) == 0


_ENTERS = """
import os, sys
from launchers.common import private_network
outside = os.readlink("/proc/self/ns/net")
private_network.enter_for_command(["command", *sys.argv[1:]])
assert private_network.entered() == (os.readlink("/proc/self/ns/net") != outside)
print(private_network.entered())
print(open("/proc/self/status").read().split("CapEff:")[1].split()[0])
"""


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize(
    ("arguments", "enters"),
    [
        ((), True),
        (("--workdir", "d", "--launch=local_mt"), True),
        (("--launch", "ray"), False),
        (("--launch=local_mp",), False),  # its nodes enter
        (("--noprivate_network",), False),
        (("--private_network=what",), False),  # the command says what is wrong
    ],
)
def test_a_command_enters_for_a_launch_that_listens_in_its_process(arguments, enters):
    command = [sys.executable, "-c", _ENTERS, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    entered, capabilities = done.stdout.split()
    assert entered == str(enters), done.stderr
    if os.geteuid():
        assert int(capabilities, 16) == 0


def test_a_system_that_allows_none_is_named(monkeypatch):
    refuses = [sys.executable, "-c", "print('Operation not permitted')"]
    monkeypatch.setattr(private_network, "_SCRIPT", refuses)
    with pytest.raises(private_network.Unavailable, match="^Operation not permitted$"):
        private_network.make()
    monkeypatch.setattr(private_network, "_SCRIPT", [sys.executable, "-c", "1 / 0"])
    with pytest.raises(private_network.Unavailable, match="no answer"):
        private_network.make()


def test_a_process_with_threads_stays_where_it_is():
    script = (
        "import threading; from launchers.common import private_network\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "private_network.enter_for_command(['command'])\n"
        "assert not private_network.entered()\n"
        "print(private_network.warning())"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "warning: this run has no network of its own (" in done.stdout, done.stderr
    assert "threads" in done.stdout
