"""A coordinator that was killed goes on where it was."""

import time

import launchpad as lp
import pytest
from absl import flags
from absl.testing import absltest

from launchers.common import signals
from launchers.distributed import program, status
from launchers.experiments.config import Budget
from tests.helpers import fakes


@pytest.fixture(autouse=True)
def _parsed_flags():
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])


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
