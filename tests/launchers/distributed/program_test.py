"""The distributed program on a tiny task: it learns, stops, resumes, fails loudly."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import launchpad as lp
import numpy as np
import pytest
from absl import flags
from absl.testing import absltest

from benchmarks.common import training
from launchers.common import loggers
from launchers.distributed import program
from launchers.distributed.config import Layout
from launchers.experiments.config import Budget
from launchers.transfer import training as agent_training
from tests.helpers import fakes
from tests.helpers.waiting import until

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _parsed_flags():
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])


def _returns(workdir):
    return [row["episode_return"] for row in loggers.actor_rows(str(workdir))]


def test_learns_as_threads(tmp_path):
    """Uniform choice earns 8/3 an episode; the policy must earn twice that."""
    budget = Budget(max_actor_steps=2500, eval_every=1000, eval_episodes=10)
    experiment = fakes.make_experiment(tmp_path, seed=1, budget=budget)
    case = absltest.TestCase()
    made = program.make_program(
        experiment,
        num_actors=3,
        layout=Layout(actors_per_process=2, num_replay_shards=2, num_cachers=1),
    )
    sizes = {name: len(group) for name, group in made.groups.items()}
    assert sizes == {
        "actor": 2,
        "cacher": 1,
        "coordinator": 1,
        "evaluator": 1,
        "learner": 1,
        "replay": 2,
        "replay_keeper": 1,
    }
    # Launchpad pickles the nodes here, as it does where they are processes.
    manager = lp.launch(made, launch_type="test_mt", test_case=case)
    manager.wait(["coordinator"])
    case.doCleanups()

    returns = _returns(tmp_path)
    assert np.mean(returns[:20]) < 4.0
    assert np.mean(returns[-20:]) > 5.3
    evaluations = loggers.read_rows(str(tmp_path), "evaluator")
    # The first is late where the evaluator starts after the actors: never two at once.
    due = [row["actor_steps"] // budget.eval_every for row in evaluations]
    assert due
    assert due == sorted(set(due))
    learner = loggers.read_rows(str(tmp_path), "learner")
    assert learner[-1]["learner_steps"] > 50
    assert np.isfinite(learner[-1]["loss_critic"])
    for node in ("actor_0", "actor_1", "actor_2"):
        assert loggers.read_rows(str(tmp_path), node)
    # Stopped cleanly: the last checkpoint holds what was learned.
    checkpoint = tmp_path / "checkpoints" / "learner"
    assert list(checkpoint.glob("ckpt-*.index"))


def test_no_actor():
    with pytest.raises(ValueError, match="actors_per_process must be at least 1"):
        Layout(actors_per_process=0)
    experiment = fakes.make_experiment("unused")
    with pytest.raises(ValueError, match="num_actors must be at least 1"):
        program.make_program(experiment, num_actors=0)


def _network(pid):
    return os.readlink(f"/proc/{pid}/ns/net")


def _listening(pid):
    """Ports on which anything listens in the network of a process."""
    lines = pathlib.Path(f"/proc/{pid}/net/tcp6").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return {f[1].rsplit(":", 1)[1] for f in fields if f[3] == "0A"}


@pytest.mark.slow
def test_processes_stop_and_resume(tmp_path):
    lines: list[str] = []
    ports: list[set[str]] = []

    def report(line):
        lines.append(line)
        pid = training.pid_of_node("self", "actor/0")
        if pid is not None and _network(pid) != _network("self"):
            ports.append(_listening(pid))

    for steps in (600, 900):
        budget = Budget(
            max_actor_steps=steps, eval_every=10_000, eval_episodes=2, log_seconds=1
        )
        experiment = fakes.make_experiment(tmp_path, budget=budget)
        summary = agent_training.run(experiment, "local_mp", 2, report=report)
        assert summary["stopped_by"] == "max_actor_steps"
        assert summary["actor_steps"] >= steps
    assert summary["learner_steps"] > 0
    assert any("learner steps" in line for line in lines)
    if not any("no network of its own" in line for line in lines):
        assert max(map(len, ports)) >= 6  # of replay, learner, coordinator and others
        assert not max(ports, key=len) & _listening("self"), "other hosts see ports"
    rows = loggers.read_rows(str(tmp_path), "learner")
    counts = [row["learner_steps"] for row in rows]
    assert counts == sorted(counts)  # the count went on, it did not start again


@pytest.mark.slow
def test_any_node_may_be_killed(tmp_path):
    """Each once, in one run, which must go on to its budget and learn."""
    budget = Budget(
        max_actor_steps=6000,
        eval_episodes=0,
        log_seconds=2,
        checkpoint_minutes=1 / 60,
    )
    experiment = fakes.make_experiment(tmp_path, seed=1, budget=budget)
    layout = Layout(num_cachers=1, num_replay_shards=2)
    names = list(program.make_program(experiment, 2, layout).groups)
    lines: list[str] = []
    killed: list[str] = []

    def kill():
        rng = np.random.default_rng(0)
        for name in rng.permutation(names):
            while not (pid := training.pid_of_node("self", f"{name}/0")):
                time.sleep(0.1)
            steps = _count(tmp_path)
            while _count(tmp_path) < steps + 100:  # the program works
                time.sleep(0.1)
            os.kill(pid, signal.SIGKILL)
            killed.append(name)

    threading.Thread(target=kill, daemon=True).start()
    reason = program.run(experiment, 2, "local_mp", lines.append, layout)
    assert reason == "max_actor_steps"
    assert sorted(killed) == sorted(names), lines
    for name in names:
        assert any(f"warning: {name}/0 is gone (killed" in line for line in lines)
    assert np.mean(_returns(tmp_path)[-30:]) > 5.3
    rows = loggers.read_rows(str(tmp_path), "learner")
    assert rows[-1]["learner_steps"] > 200 and np.isfinite(rows[-1]["loss_critic"])


def _count(workdir):
    rows = [loggers.last_row(str(workdir), a) for a in loggers.actors(str(workdir))]
    return max((row.get("actor_steps", 0) for row in rows), default=0)


_LAUNCHER = """
import sys
from absl import flags
from launchers.distributed import program
from tests.helpers import fakes
from tests.helpers.waiting import until
flags.FLAGS(["launcher"])
program.run(fakes.make_experiment(sys.argv[1]), 1, "local_mp")
"""


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 20.0])
def test_nodes_end_with_a_launcher_that_is_killed(seconds, tmp_path):
    """At once, when they import their libraries yet, and at work."""
    command = [sys.executable, "-c", _LAUNCHER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT) as launcher:
        children = pathlib.Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
        while not training.pid_of_node(launcher.pid, "actor/0"):
            time.sleep(0.01)
        time.sleep(seconds)
        pids = children.read_text().split()
        launcher.kill()
    assert len(pids) >= 4
    deadline = time.monotonic() + 60
    while left := [pid for pid in pids if pathlib.Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def _failing_environment(seed):
    raise RuntimeError(f"no environment for seed {seed}")


@pytest.mark.slow
def test_a_node_that_fails_ends_the_program(tmp_path):
    experiment = dataclasses.replace(
        fakes.make_experiment(tmp_path, budget=Budget(run_seconds=120)),
        environment_factory=_failing_environment,
    )
    with pytest.raises(RuntimeError, match="no environment for seed"):
        program.run(experiment, 1, "local_mp", report=lambda line: None)


def test_the_launcher_s_report_goes_on_after_exceptions(tmp_path, monkeypatch):
    """Though each of its first three lines of progress raises."""
    budget = Budget(log_seconds=0.02)
    experiment = fakes.make_experiment(tmp_path, budget=budget)
    lines: list[str] = []
    failures = iter(range(3))

    def fails(progress):
        for _ in failures:
            raise KeyError("return_mean")
        return "a line"

    monkeypatch.setattr(loggers.Progress, "line", fails)
    monkeypatch.setattr(
        program, "_run_threads", lambda *args: until(lambda: "a line" in lines)
    )
    program.run(experiment, 1, "local_mt", lines.append)
    assert sum("the report of progress failed" in line for line in lines) == 1
