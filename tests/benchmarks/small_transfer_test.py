"""Steps to solve by hand, the data's goals and windows, the whole benchmark small."""

import itertools
import json

import numpy as np
import pytest

from agents.helms.config import HelmsConfig
from benchmarks import small_transfer_runs, two_targets
from tests.helpers import commands


def _curve(successes):
    rows = [(100 * (i + 1), 0.5, value, i) for i, value in enumerate(successes)]
    return np.asarray(rows, float)


def test_steps_to_solve():
    solve = small_transfer_runs.steps_to_solve
    assert solve(_curve([1] * 19)) is None
    assert solve(_curve([1] * 20)) == 2000
    assert solve(_curve([0, 0] + [1] * 18)) == 2000
    assert solve(_curve([0] * 3 + [1] * 30)) == 2100  # episodes 2 to 21: 18 of 20
    assert solve(_curve([1, 0] * 50)) is None


def test_recent_success_is_of_each_20_episodes():
    successes = np.random.default_rng(0).integers(2, size=50)
    expected = [successes[i : i + 20].mean() for i in range(31)]
    found = small_transfer_runs.recent_success(_curve(successes))
    np.testing.assert_allclose(found, expected)
    assert small_transfer_runs.recent_success(_curve([1] * 19)).size == 0


def test_the_ratio_is_a_lower_bound():
    runs = {
        "helms_cat": [_curve([1] * 20), _curve([1] * 20)],
        "helms_mix": [_curve([1] * 20), _curve([0] * 20)],
        "mpo": [_curve([0] * 20 + [1] * 18), _curve([0] * 40)],
    }
    found = small_transfer_runs.summary(runs, steps=10_000)
    assert found["mpo"]["steps_to_solve"] == [3800, None]
    assert found["mpo"]["solved"] == 1 and found["mpo"]["cpu_seconds"] == 39
    assert found["helms_cat"]["mpo_ratio"] == pytest.approx((3800 + 10_000) / 4000)
    assert "mpo_ratio" not in found["helms_mix"]


def test_the_data_never_go_from_a_to_b():
    data = small_transfer_runs.collect(episodes=12, seed=3)
    places = [[0.0, 0.0], [0.2, 0.2]]
    seen = set()
    for e in range(12):
        proprio, objects = data["proprio"][e, :-1], data["objects"][e, :-1]
        ways = [objects[:, :2], objects[:, 2:4], *(p - proprio[:, :2] for p in places)]
        forces = np.clip(10.0 * np.stack(ways, axis=1), -1.0, 1.0)  # [T, goals, D]
        fits = np.abs(forces - data["action"][e][:, None]).max(axis=-1) < 1e-4
        assert fits.any(axis=1).all()  # the label has no noise
        goals = [int(np.argmax(row)) for row in fits if row.sum() == 1]
        seen |= set(itertools.pairwise(goals))
    assert {goal for pair in seen for goal in pair} == {0, 1, 2, 3}
    assert {after for before, after in seen if before == 0} == {0, 2, 3}


def test_windows_are_aligned_and_can_be_skipped():
    frames = np.arange(8, dtype=np.float32)
    number = (100.0 * np.arange(3)[:, None] + frames)[..., None]  # [E, T+1, 1]
    data = {"proprio": number, "objects": -number, "action": number[:, :-1] + 0.5}
    config = HelmsConfig(window=4, look_ahead=2, batch_size=64)
    batches = list(itertools.islice(small_transfer_runs.windows(data, config), 3))
    starts = set()
    for batch in batches:
        first = batch["proprio"][:, :1]
        np.testing.assert_array_equal(
            batch["proprio"][..., 0], first[..., 0] + np.arange(6)
        )
        np.testing.assert_array_equal(batch["objects"], -batch["proprio"])
        np.testing.assert_array_equal(batch["action"], batch["proprio"][:, :4] + 0.5)
        assert batch["mask"].shape == (64, 4) and batch["mask"].all()
        starts |= set(np.ravel(first))
    assert starts == {100 * e + s for e in range(3) for s in range(3)}
    skipped = next(small_transfer_runs.windows(data, config, skip=2))
    np.testing.assert_array_equal(skipped["proprio"], batches[2]["proprio"])


@pytest.mark.parametrize("agent", ["helms_cat", "helms_mix", "mpo"])
def test_agents_take_as_many_learner_steps(agent):
    class Skills:
        config = HelmsConfig()
        observation_statistics = dict

    builder = small_transfer_runs.make_builder(agent, Skills(), skill_steps=20)
    config = builder.config
    assert config.batch_size * (config.sequence_length - 1) in (252, 256)
    due = [builder.learner_steps_due(steps) for steps in (20_000, 60_000)]
    assert due[1] - due[0] == pytest.approx(10_000, rel=0.01)


def _run(*arguments):
    return commands.run("benchmarks.small_transfer", *arguments)


def test_an_unknown_agent_gets_one_line_and_exit_2(tmp_path):
    done = _run("--agents=npmp", f"--out={tmp_path / 'new'}")
    assert done.returncode == 2
    assert (
        done.stderr.strip().splitlines()[-1].startswith("error: unknown agent 'npmp'")
    )
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_the_whole_benchmark_small_and_again(tmp_path):
    arguments = (
        *("--seeds=1", "--steps=2500", "--episodes=10", "--skill_training_steps=5"),
        f"--out={tmp_path}",
    )
    done = _run(*arguments)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    for agent in ("helms_cat", "helms_mix", "mpo"):
        assert len(result[agent]["steps_to_solve"]) == 1
        (path,) = tmp_path.glob(f"{agent}*.csv")
        rows = np.genfromtxt(path, delimiter=",", skip_header=1)
        assert 2500 <= rows[-1, 0] < 2500 + two_targets.EPISODE_STEPS
    assert (tmp_path / "small_transfer.png").read_bytes()[:4] == b"\x89PNG"
    times = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.csv")}
    again = _run(*arguments)
    assert json.loads(again.stdout.splitlines()[-1]) == result
    assert times == {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.csv")}
