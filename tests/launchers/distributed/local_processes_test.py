"""Processes that die, raise and stop, with the smallest programs there are."""

import os
import pathlib
import signal
import sys
import tempfile
import threading
import time

import cloudpickle
import launchpad as lp
import pytest
from absl import flags

from launchers.common import private_network
from launchers.distributed import local_processes
from launchers.distributed.restart_policy import RestartPolicy
from tests.helpers.waiting import until

pytestmark = pytest.mark.timeout(60)

_QUICK = RestartPolicy(limit=2, first_delay=0.1, settled=0.5)
_WAITS = "import time; print('begins', flush=True); time.sleep(60)"
_RAISES = "raise KeyError('y')"
_RAISES_LATER = "import time; time.sleep(0.8); raise KeyError('late')"


def _node(tmp_path, name, code, network=None):
    command = [sys.executable, "-c", code]
    return local_processes.Node(name, command, {}, tmp_path / name, network)


def _run(nodes, dispensable=lambda group: False, then=None, policy=_QUICK):
    """Waits for the processes; `then`, in a thread, gets the lines they report."""
    lines: list[str] = []
    running = local_processes.Processes(nodes, dispensable, lines.append, policy)
    if then is not None:
        threading.Thread(target=then, args=[lines], daemon=True).start()
    try:
        running.wait()
    finally:
        assert not any(node.alive for node in nodes)
    return lines


def _begun(tmp_path, name):
    """How often a node has said that it begins."""
    path = tmp_path / name
    return path.read_text().count("begins") if path.exists() else 0


def _stop():
    os.kill(os.getpid(), signal.SIGTERM)


def _stop_when(condition):
    """For `_run`: stops the program once its lines meet the condition."""

    def then(lines):
        until(lambda: condition(lines))
        _stop()

    return then


def test_a_killed_process_is_started_again(tmp_path):
    node = _node(tmp_path, "actor/0", _WAITS)
    other = _node(tmp_path, "learner/0", _WAITS)
    pids = []

    def kill(lines):
        until(lambda: _begun(tmp_path, "actor/0") and _begun(tmp_path, "learner/0"))
        pids.extend([node._process.pid, other._process.pid])
        node.send(signal.SIGKILL)
        until(lambda: _begun(tmp_path, "actor/0") == 2)
        pids.extend([node._process.pid, other._process.pid])
        _stop()

    lines = _run([node, other], then=kill)
    assert pids[0] != pids[2] and pids[1] == pids[3]
    assert "actor/0 is gone (killed by SIGKILL)" in lines[0] and len(lines) == 1
    assert _begun(tmp_path, "actor/0") == 2 and _begun(tmp_path, "learner/0") == 1


def test_processes_share_a_network_of_their_own(tmp_path):
    try:
        network = private_network.make()
    except private_network.Unavailable as e:
        pytest.skip(f"no private network here: {e}")
    shows = "import os; print(os.readlink('/proc/self/ns/net'), os.getppid())"
    _run([_node(tmp_path, f"x/{i}", shows, network) for i in range(2)])
    network.close()
    first, second = ((tmp_path / f"x/{i}").read_text().split() for i in range(2))
    assert first == second and first[0] != os.readlink("/proc/self/ns/net")
    assert first[1] == str(os.getpid())  # by which a node knows its launcher


def test_too_many_deaths_end_the_program(tmp_path):
    suicide = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    nodes = [_node(tmp_path, "replay/0", suicide), _node(tmp_path, "x/0", _WAITS)]
    with pytest.raises(RuntimeError, match=r"replay/0 failed 3 times.*SIGKILL"):
        _run(nodes)


def test_an_exception_ends_the_program_and_names_itself(tmp_path):
    nodes = [_node(tmp_path, "learner/0", _RAISES), _node(tmp_path, "x/0", _WAITS)]
    with pytest.raises(RuntimeError, match=r"learner/0: KeyError: 'y'"):
        _run(nodes)


def test_a_node_that_can_be_spared_may_fail_once(tmp_path):
    node = _node(tmp_path, "actor/0", _RAISES_LATER)
    lines = _run([node], lambda name: True, then=_stop_when(bool))
    assert "KeyError: 'late'" in lines[0]


def test_a_node_that_only_dies_is_spared_while_its_peer_works(tmp_path):
    dies = "import os, signal; print('begins', flush=True); os.kill(os.getpid(), 9)"
    nodes = [_node(tmp_path, "actor/0", _WAITS), _node(tmp_path, "actor/1", dies)]
    policy = RestartPolicy(limit=2, first_delay=0.5, longest_delay=0.5, settled=0.5)
    _run(nodes, lambda name: True, _stop_when(lambda lines: len(lines) > 4), policy)
    assert _begun(tmp_path, "actor/1") > 4
    with pytest.raises(RuntimeError, match="actor/1 failed 3 times"):
        _run(nodes, lambda name: False, policy=policy)


def test_ends_when_all_have_ended(tmp_path):
    assert _run([_node(tmp_path, "x/0", "pass"), _node(tmp_path, "x/1", "pass")]) == []


def test_what_does_not_stop_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(local_processes, "GRACE_SECONDS", 0.5)
    deaf = "import signal; signal.signal(15, signal.SIG_IGN); " + _WAITS
    begin = time.monotonic()
    stop = _stop_when(lambda lines: _begun(tmp_path, "x/0"))
    _run([_node(tmp_path, "x/0", deaf)], then=stop)
    assert time.monotonic() - begin < 10


def test_the_last_exception_of_an_output():
    text = "hello\nTraceback (most recent call last):\n  File x\nKeyError: 'y'\n"
    assert local_processes.last_exception(text) == "KeyError: 'y'"
    assert local_processes.last_exception("all is well\n") is None


def test_a_program_leaves_no_file_in_the_directory_of_temporary_files(
    tmp_path, monkeypatch
):
    """Not even while it runs: its launcher may be killed at any time."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])
    program = lp.Program("p")
    for group in ("a", "b"):
        with program.group(group):
            program.add_node(lp.PyNode(str, group))
    output = tmp_path / "logs" / "output"
    running = local_processes.launch(program, {}, output)
    assert tempfile.tempdir == str(tmp_path / "tmp")
    assert not [*(tmp_path / "tmp").iterdir(), *(tmp_path / "logs").iterdir()]
    nodes = {node.group: node for node in running._nodes}
    for group, node in nodes.items():
        path = node._command[node._command.index("--data_file") + 1]
        (function,) = cloudpickle.loads(pathlib.Path(path).read_bytes())
        assert function() == group
        node._command = ["cat", path]
    running.wait()  # the processes read it too
    for group in nodes:
        assert cloudpickle.loads((output / group / "0").read_bytes())[0]() == group
    assert not pathlib.Path(path).exists()
