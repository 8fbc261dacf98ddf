"""Summaries of runs with literal numbers, the tasks of `control`, what is refused."""

import json

import numpy as np
import pytest

from benchmarks import catch
from benchmarks.common import curves
from launchers.common import atomic_files
from tests.helpers import commands


def _curve(values, every=10):
    return np.array([[every * (i + 1), value] for i, value in enumerate(values)])


def test_summary_is_of_the_last_fifth_over_seeds():
    runs = {"a": [_curve([0] * 8 + [1, 3]), _curve([9] * 8 + [3, 5])]}
    found = curves.summary(runs, steps=100)["a"]
    assert found["runs"] == [2.0, 4.0] and found["return"] == 3.0
    # Deviation sqrt(2) over 2 values, and Student's 12.706 of one degree of freedom.
    assert found["low"] == pytest.approx(3.0 - 12.7062, abs=1e-4)
    assert found["high"] == pytest.approx(3.0 + 12.7062, abs=1e-4)


def test_draw_takes_runs_of_unequal_lengths(tmp_path):
    runs = {"a": [_curve(range(10)), _curve(range(7))], "b": [_curve([1.0])]}
    curves.draw(tmp_path / "x.png", runs, 100, "task")
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"


def _play(policy, episodes=200):
    environment, returns = catch.Catch(seed=0), []
    for _ in range(episodes):
        timestep, steps = environment.reset(), 0
        while not timestep.last():
            board = timestep.observation.reshape(catch.ROWS, catch.COLUMNS)
            timestep = environment.step(np.array([policy(board)]))
            steps += 1
        assert steps == catch.ROWS - 1 and timestep.discount == 0.0
        returns.append(timestep.reward)
    return returns


def test_catch():
    def follow(board):
        ball = int(np.argmax(board[:-1].max(axis=0)))
        return np.sign(ball - int(np.argmax(board[-1])))

    assert set(_play(follow)) == {1.0}
    left = _play(lambda board: -1.0)  # caught where the ball falls at the left edge
    assert np.mean(left) == pytest.approx(2 * 0.2 - 1, abs=0.15)


def _run(*flags):
    return commands.run("benchmarks.transfer", *flags)


def test_transfer_refuses_an_agent_without_its_bundle(tmp_path):
    done = _run("--agents=helms_cat", f"--out={tmp_path}")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "needs a bundle of helms" in done.stderr.strip().splitlines()[-1]


def _write_runs(directory, values):
    directory.mkdir()
    for seed, value in enumerate(values):
        rows = ["actor_steps,episode_return,success"]
        rows += [f"{400 * (i + 1)},{value * (i >= 8)},{seed}" for i in range(10)]
        (directory / f"mpo_{seed}.csv").write_text("\n".join(rows) + "\n")


def test_transfer_draws_what_is_there(tmp_path):
    _write_runs(tmp_path / "set_4_staged_sparse", [2.0, 4.0])
    flags = ("--draw", "--agents=mpo", "--steps=4000", f"--out={tmp_path}")
    done = _run(*flags)
    assert done.returncode == 0, done.stderr
    entry = json.loads(done.stdout.strip().splitlines()[-1])["mpo"]
    assert entry["return"] == 3.0 and entry["success"] == 0.5
    assert entry["area"] == pytest.approx(0.6)
    assert entry["runs"]["area"] == [0.4, 0.8]
    assert entry["low"]["area"] == pytest.approx(0.6 - 12.7062 * 0.2, abs=1e-4)
    assert (tmp_path / "transfer.png").exists()
    _write_runs(tmp_path / "set_1_staged_sparse", [1.0])
    done = _run(*flags, "--object_set=4,1,2")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["set_4_staged_sparse"]["mpo"] == entry
    assert found["set_1_staged_sparse"]["mpo"]["return"] == 1.0
    assert found["set_2_staged_sparse"] == {}


def test_transfer_refuses_a_condition_that_there_is_not(tmp_path):
    for flag, word in (("--object_set=4,9", "9"), ("--reward=dens", "dens")):
        done = _run("--draw", flag, f"--out={tmp_path}")
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert word in done.stderr.strip().splitlines()[-1]


def test_a_curve_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "run.csv"
    atomic_files.write_csv(path, ("steps", "return"), [(10, 0.5)])
    assert path.read_text().splitlines() == ["steps,return", "10,0.5"]
    np.testing.assert_array_equal(curves.read(path), [[10, 0.5]])
