"""The cacher behind a real Courier server, with real clients; the learner dies."""

import subprocess
import sys

import courier
import launchpad as lp
import numpy as np
import portpicker
import pytest
from absl import flags
from absl.testing import absltest

from launchers.distributed import variable_cache, variable_cacher
from tests.helpers.waiting import until

_PERIOD = 0.02  # seconds between fetches here


class _Learner:
    """Variables that all have the value of the fetch's number."""

    def __init__(self, first=1):
        self.calls = first - 1

    def get_variables(self, names):
        self.calls += 1
        return [[np.full((3, 2), self.calls, np.float32), np.float32(self.calls)]] * (
            len(names)
        )


def _serve(learner, port):
    server = courier.Server(port=port)
    server.Bind("get_variables", learner.get_variables)
    server.Start()
    return server


def _stop(server):
    server.Stop()
    server.Join()


def _client(port):
    return courier.Client(f"localhost:{port}", call_timeout=20)


@pytest.fixture
def port():
    return portpicker.pick_unused_port()


def test_serves_what_the_learner_has_and_keeps_up(port):
    learner = _Learner()
    server = _serve(learner, port)
    made = variable_cache.VariableCache(_client(port), update_seconds=_PERIOD)
    with variable_cacher.CacherServer(made) as served:
        client = _client(served.port)
        ((matrix, scalar),) = client.get_variables(["policy"])
        assert matrix.dtype == np.float32 and matrix.shape == (3, 2)
        assert scalar.shape == () and scalar >= 1
        until(lambda: client.get_variables(["policy"])[0][1] >= scalar + 3)
        found = client.statistics()
        assert found["fetches"] >= 4 and found["failures"] == 0
        assert 0 <= found["age_seconds"] < 10
    _stop(server)


def test_many_callers_cost_the_learner_nothing(port):
    learner = _Learner()
    server = _serve(learner, port)
    made = variable_cache.VariableCache(_client(port), update_seconds=3600.0)
    with variable_cacher.CacherServer(made) as served:
        clients = [_client(served.port) for _ in range(4)]
        for client in clients:
            for _ in range(5):
                client.get_variables(["policy"])
        assert learner.calls == 1
    _stop(server)


def test_callers_wait_for_the_first_fetch(port):
    """The learner starts late: nobody gets anything but its variables."""
    made = variable_cache.VariableCache(_client(port), update_seconds=_PERIOD)
    with variable_cacher.CacherServer(made) as served:
        client = _client(served.port)
        waiting = [client.futures.get_variables(["policy"]) for _ in range(20)]
        # More of them than a pool of Courier's default size has threads.
        until(lambda: client.statistics()["failures"] >= 1)
        assert not any(call.done() for call in waiting)
        assert "age_seconds" not in client.statistics()
        server = _serve(_Learner(first=5), port)
        for call in waiting:
            assert call.result(timeout=20)[0][1] >= 5
    _stop(server)


_LEARNER_PROCESS = """
import sys, threading, courier, numpy
server = courier.Server(port=int(sys.argv[1]))
server.Bind("get_variables", lambda names: [[numpy.float32(sys.argv[2])]])
server.Start()
threading.Event().wait()
"""


def _start_learner(port, value):
    return subprocess.Popen(
        [sys.executable, "-c", _LEARNER_PROCESS, str(port), str(value)],
        stderr=subprocess.DEVNULL,
    )


def test_outlives_a_killed_learner_and_finds_the_next_one(port):
    first = second = _start_learner(port, 1)
    made = variable_cache.VariableCache(_client(port), update_seconds=_PERIOD)
    try:
        with variable_cacher.CacherServer(made) as served:
            client = _client(served.port)
            until(lambda: client.statistics()["fetches"] >= 3)
            failures = client.statistics()["failures"]
            first.kill()
            until(lambda: client.statistics()["failures"] > failures)
            assert client.get_variables(["policy"]) == [[1.0]]
            assert client.statistics()["age_seconds"] > 0
            second = _start_learner(port, 2)
            until(lambda: client.get_variables(["policy"]) == [[2.0]])
    finally:
        for process in (first, second):
            process.kill()
            process.wait()


def test_reads_another_cacher(port):
    server = _serve(_Learner(), port)
    with variable_cacher.CacherServer(
        variable_cache.VariableCache(_client(port), update_seconds=_PERIOD)
    ) as first:
        second = variable_cache.VariableCache(
            _client(first.port), update_seconds=_PERIOD
        )
        with variable_cacher.CacherServer(second) as served:
            client = _client(served.port)
            until(lambda: client.get_variables(["policy"])[0][1] >= 3)
    _stop(server)


class _Actor:
    """A node that fetches until it has the learner's third answer."""

    def __init__(self, source, found):
        self._source, self._found = source, found

    def run(self):
        until(lambda: self._source.get_variables(["policy"])[0][1] >= 3)
        np.savetxt(self._found, [self._source.statistics()["fetches"]])


def test_as_a_node_of_a_program(tmp_path):
    """Wired as a program does it: handles of the learner and the coordinator."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])
    found = tmp_path / "found"
    program = lp.Program("cacher")
    with program.group("learner"):
        learner = program.add_node(lp.CourierNode(_Learner))
    with program.group("cacher"):
        made = program.add_node(
            lp.CourierNode(
                variable_cacher.CacherNode, learner, learner, update_seconds=_PERIOD
            )
        )
    with program.group("actor"):
        program.add_node(lp.CourierNode(_Actor, made, str(found)))
    case = absltest.TestCase()
    manager = lp.launch(program, launch_type="test_mt", test_case=case)
    manager.wait(["actor"])
    case.doCleanups()
    assert np.loadtxt(found) >= 3
