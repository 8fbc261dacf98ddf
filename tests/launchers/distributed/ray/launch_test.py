"""Launchpad programs on a real Ray: addresses, restarts, stops, resizing."""

import os
import pathlib
import signal
import threading
import time

import launchpad as lp
import pytest
from absl import flags, logging

from launchers.common import loggers
from launchers.distributed import process_env
from launchers.experiments.config import Budget
from tests.helpers import fakes
from tests.helpers.waiting import until

pytest.importorskip("ray")

from launchers.distributed.ray import (
    cluster,
    launch,
    manager,
    resize_request,
    resources,
)
from launchers.distributed.restart_policy import RestartPolicy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(autouse=True)
def _parsed_flags():
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])


class _Server:
    """Serves its process id until the program stops."""

    def __init__(self):
        self._stop = lp.stop_event()

    def pid(self):
        return os.getpid()

    def run(self):
        self._stop.wait()
        print("the server ends well")


class _Client:
    """Kills the server, finds it again at its address, then stops the program."""

    def __init__(self, server, directory):
        self._server = server
        self._directory = pathlib.Path(directory)

    def run(self):
        first = self._server.pid()
        os.kill(first, signal.SIGKILL)
        while True:  # a call to the dying one may fail
            try:
                second = self._server.pid()
            except Exception:
                continue
            if second != first:
                break
        seen = (
            logging.get_verbosity(),
            os.environ["CUDA_VISIBLE_DEVICES"],
            os.getcwd(),
        )
        (self._directory / "seen").write_text(repr(seen))
        lp.stop()
        lp.wait_for_stop()


def test_a_program_restarts_a_killed_node_and_stops(tmp_path):
    program = lp.Program("test")
    with program.group("server"):
        server = program.add_node(lp.CourierNode(_Server))
    with program.group("client"):
        program.add_node(lp.CourierNode(_Client, server, str(tmp_path)))
    lines: list[str] = []
    before = logging.get_verbosity()
    flags.FLAGS["verbosity"].parse("-1")
    cluster.connect(None)
    try:
        needs = {"": resources.RayResources(env=process_env.variables(""))}
        made = manager.Manager(str(tmp_path), needs, lines.append)
        made.reconcile(program)
        made.wait()
    finally:
        cluster.disconnect()
        flags.FLAGS["verbosity"].parse(str(before))
        flags.FLAGS["verbosity"].present = 0
    assert (tmp_path / "seen").read_text() == repr((-1, "", os.getcwd()))
    output = (tmp_path / "logs/output/server/0").read_text()
    assert output.count("--- ") == 2 and "the server ends well" in output
    assert any(line.startswith("server/0: ") for line in lines)


def _raise():
    print("about to")
    raise KeyError("no such thing")


def test_an_exception_ends_the_program(tmp_path):
    program = lp.Program("test")
    program.add_node(lp.PyNode(lp.wait_for_stop), label="waits")
    program.add_node(lp.PyNode(_raise), label="fails")
    cluster.connect(None)
    try:
        made = manager.Manager(str(tmp_path), {}, lambda line: None)
        made.reconcile(program)
        with pytest.raises(RuntimeError, match="^fails/0: KeyError: 'no such thing'$"):
            made.wait()
    finally:
        cluster.disconnect()
    assert "Traceback" in (tmp_path / "logs/output/fails/0").read_text()


def _raise_later():
    time.sleep(4.0)  # until the peer is settled
    raise KeyError("again")


def _stop_after_four_starts(log):
    log = pathlib.Path(log)
    until(lambda: log.exists() and log.read_text().count("--- ") >= 4, seconds=600)
    lp.stop()
    lp.wait_for_stop()


def test_a_node_that_always_fails_is_spared_while_its_peer_works(tmp_path):
    log = tmp_path / "logs/output/actor/1"
    program = lp.Program("test")
    with program.group("actor"):
        program.add_node(lp.PyNode(_stop_after_four_starts, str(log)))
        program.add_node(lp.PyNode(_raise_later))
    lines: list[str] = []
    cluster.connect(None)
    try:
        needs = {"": resources.RayResources(dispensable=True)}
        policy = RestartPolicy(limit=1, first_delay=0.1, settled=2.0)
        made = manager.Manager(str(tmp_path), needs, lines.append, policy)
        made.reconcile(program)
        made.wait()
    finally:
        cluster.disconnect()
    assert sum("KeyError: 'again'" in line for line in lines) >= 3, lines


def test_an_experiment_resizes_and_ends_by_its_budget(tmp_path):
    # Long enough for an actor that is asked for at the first episode to start.
    budget = Budget(max_actor_steps=6000, eval_every=10_000, eval_episodes=1)
    experiment = fakes.make_experiment(tmp_path, budget=budget)
    lines: list[str] = []

    def ask():
        until(lambda: list(tmp_path.glob("logs/actor_0/logs.csv")), seconds=600)
        resize_request.ask(str(tmp_path), 2)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    stopped_by = launch.run(experiment, 1, report=lines.append)
    assert stopped_by == "max_actor_steps"
    assert "goes on with 2 actors" in lines
    assert loggers.read_rows(str(tmp_path), "actor_1")
    assert list((tmp_path / "checkpoints" / "learner").glob("ckpt-*.index"))
