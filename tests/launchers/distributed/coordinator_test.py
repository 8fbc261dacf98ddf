"""A coordinator that was killed goes on where it was, and its report goes on."""

import threading
import time

import launchpad as lp
import pytest
from absl import flags
from absl.testing import absltest

from launchers.common import signals
from launchers.distributed import coordinator, program, status
from launchers.experiments.config import Budget
from tests.helpers import fakes
from tests.helpers.waiting import until


@pytest.fixture(autouse=True)
def _parsed_flags():
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A coordinator of one shard, which is none, and the event that stops it."""
    stop = threading.Event()
    monkeypatch.setattr(coordinator, "enter_node", lambda: stop)
    monkeypatch.setattr(status, "WRITE_SECONDS", 0.02)
    return coordinator.CoordinatorNode(fakes.make_experiment(tmp_path), [None]), stop


def test_the_report_goes_on_after_exceptions(node, tmp_path, monkeypatch):
    one, stop = node
    logged: list[str] = []
    monkeypatch.setattr(coordinator.logging, "error", logged.append)
    one._guard = coordinator.Guard("the report", logged.append)
    failures = iter(range(20))
    write = status.write

    def fails(*args):
        for _ in failures:
            raise OSError("no space left on device")
        return write(*args)

    monkeypatch.setattr(status, "write", fails)
    reporter = threading.Thread(target=one._report)
    reporter.start()
    until(lambda: status.read(str(tmp_path)) is not None)
    first = status.read(str(tmp_path))
    assert first is not None and first["replay"] == [None]  # the shard fails each time
    until(lambda: status.read(str(tmp_path)) not in (None, first))
    assert reporter.is_alive()
    stop.set()
    reporter.join()
    assert sum("no space left" in line for line in logged) == 1
    assert len(logged) == 2  # and that of the shard


def test_a_count_that_is_none_is_refused(node):
    one, _ = node
    one.increment(actor_steps=3)
    for count in (float("nan"), float("inf"), None, "1"):
        with pytest.raises(ValueError, match="the count actor_steps grows by"):
            one.increment(learner_steps=1, actor_steps=count)
    assert one.get_counts() == {"actor_steps": 3}


def test_a_coordinator_that_was_killed_keeps_the_seconds(tmp_path):
    budget = Budget(max_actor_steps=None, run_seconds=1003.0, eval_episodes=0)
    experiment = fakes.make_experiment(tmp_path, budget=budget)
    status.write(tmp_path, 1000.0, {}, {}, [])  # by the one before
    case, begin = absltest.TestCase(), time.monotonic()
    made = program.make_program(experiment, num_actors=1)
    lp.launch(made, launch_type="test_mt", test_case=case).wait(["coordinator"])
    case.doCleanups()
    assert time.monotonic() - begin < 200
    assert signals.take_reason(str(tmp_path)) == "run_seconds"
    written = status.read(str(tmp_path))
    assert written is not None and written["seconds"] > 1000.0
