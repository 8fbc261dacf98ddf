"""Determinism, bad actions, divergence, many random actions, and freed contexts."""

import hashlib
import itertools
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import environments
from environments import rendering, scene, tasks

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def environment():
    made = environments.make(
        domain_randomization=True, max_action_delay=2, seed=0, reward="dense"
    )
    yield made
    made.close()


def still():
    return np.array([0, 0, 0, 0, -1], np.float32)


def episode(environment, seed, steps=30, disturb=None):
    """A hash of all that an episode of random actions gives, and its info."""
    environment.seed_episode(seed)
    timestep = environment.reset()
    rng = np.random.default_rng(seed)
    digest = hashlib.sha256()
    for _ in range(steps):
        for name in sorted(timestep.observation):
            digest.update(timestep.observation[name].tobytes())
        digest.update(repr((timestep.reward, timestep.discount)).encode())
        if disturb is not None:
            disturb(environment)
        timestep = environment.step(rng.uniform(-1, 1, 5).astype(np.float32))
    info = environment.episode_info()
    digest.update(repr(sorted(info.items())).encode())
    return digest.hexdigest(), info


# With a delay of 2, three drawn objects and drawn physics.
SEED = 4


def fresh_episode():
    made = environments.make(
        object_set="random", domain_randomization=True, max_action_delay=2
    )
    return episode(made, SEED)


def test_the_same_seed_gives_bit_identical_episodes_after_others(environment):
    other = environments.make(
        domain_randomization=True, max_action_delay=2, seed=9, reward="dense"
    )
    episode(other, 5, steps=10)  # its own past must not matter
    first, info = episode(environment, 7)
    assert episode(other, 7) == (first, info)
    assert episode(environment, 8)[0] != first
    assert episode(environment, 7) == (first, info)


def test_the_same_seed_gives_bit_identical_episodes_in_fresh_processes():
    here, info = fresh_episode()
    assert info["action_delay"] == 2
    for hash_seed in ("1", "2"):
        variables = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PYTHONHASHSEED": hash_seed,
        }
        run = subprocess.run(
            [sys.executable, __file__],
            env=variables,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert run.returncode == 0, run.stderr
        assert run.stdout.split() == [here]


BAD_ACTIONS = [
    np.array([0, np.nan, 0, 0, 0]),
    np.array([0, 0, np.inf, 0, 0]),
    np.array([0, 0, 0, -np.inf, 0]),
    np.array([1.01, 0, 0, 0, 0]),
    np.array([0, 0, 0, 0, -3.0]),
    np.zeros(4),
    np.zeros(6),
    np.zeros((1, 5)),
    0.0,
]


def test_bad_actions_raise_and_leave_the_episode_as_it_was(environment):
    def disturb(environment):
        for bad in BAD_ACTIONS:
            with pytest.raises(ValueError, match=r"in \[-1, 1\]|valid: \(5,\)"):
                environment.step(bad)

    undisturbed, _ = episode(environment, SEED, steps=5)
    assert episode(environment, SEED, steps=5, disturb=disturb)[0] == undisturbed


@pytest.fixture
def log_elsewhere(monkeypatch, tmp_path):
    """MuJoCo writes a log of its warnings into the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("log_elsewhere")
@pytest.mark.parametrize("velocity", [1e12, -1e300, np.nan])
def test_a_diverging_simulation_ends_the_episode(environment, velocity):
    before = environment.divergences
    environment.seed_episode(1)
    environment.reset()
    last_good = environment.step(still()).observation
    _, data = environment.physics
    data.qvel[environment.scene.object_dof[0]] = velocity
    timestep = environment.step(still())
    assert timestep.last()
    assert timestep.discount == 0.0 and timestep.reward == 0.0
    assert all(np.isfinite(v).all() for v in timestep.observation.values())
    for name, spec in environment.observation_spec().items():
        spec.validate(timestep.observation[name])
        np.testing.assert_array_equal(timestep.observation[name], last_good[name])
    assert environment.divergences == before + 1
    assert environment.episode_info()["diverged"] == 1
    assert environment.success() is False
    assert environment.step(still()).first()
    assert "diverged" not in environment.episode_info()


@pytest.mark.usefixtures("log_elsewhere")
def test_an_episode_after_a_divergence_is_like_any_other(environment):
    expected, _ = episode(environment, 7)
    environment.reset()
    _, data = environment.physics
    data.qvel[:] = 1e12
    assert environment.step(still()).discount == 0.0
    assert episode(environment, 7)[0] == expected


def run_randomly(combinations, steps):
    """Random actions, `steps` for each task and object set; the steps that it took."""
    taken = 0
    rng = np.random.default_rng(0)
    kinds = itertools.cycle(tasks.REWARDS)
    for task, group in itertools.groupby(combinations, key=lambda pair: pair[0]):
        environment = environments.make(
            task=task,
            reward=next(kinds),
            domain_randomization=True,
            max_action_delay=2,
            seed=0,
        )
        for _, object_set in group:
            environment.set_objects(object_set)
            timestep = environment.reset()
            for _ in range(steps):
                action = rng.uniform(-1, 1, 5).astype(np.float32)
                timestep = environment.step(action)
                taken += 1
                assert 0.0 <= timestep.reward <= 1.0
                assert all(np.isfinite(v).all() for v in timestep.observation.values())
                assert environment.success() in (True, False)
        assert environment.divergences == 0
        environment.close()
    return taken


def test_random_actions_in_some_tasks_and_every_object_set():
    pairs = [
        ("stack_red_blue", 1),
        ("pyramid", 2),
        ("pyramid", 5),
        ("pyramid", "random"),
        ("lift_green", 3),
        ("reach_blue", 4),
    ]
    assert run_randomly(pairs, steps=30) == 180


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_10_000_random_actions_over_all_tasks_and_object_sets():
    pairs = list(itertools.product(tasks.TASKS, (*scene.OBJECT_SETS, "random")))
    assert run_randomly(pairs, steps=129) > 10_000


@pytest.mark.gl
def test_close_frees_the_contexts_and_may_be_repeated():
    environment = environments.make(observations="vision", seed=0)
    environment.close()  # before there are any
    before = len(rendering._handles)
    first = environment.reset().observation["basket_front_left/pixels"]
    environment.render(60, 80)
    assert len(rendering._handles) == before + 2
    environment.close()
    environment.close()
    assert len(rendering._handles) == before
    again = environment.step(still()).observation["basket_front_left/pixels"]
    assert again.shape == first.shape and again.any()
    environment.close()
    assert len(rendering._handles) == before


if __name__ == "__main__":
    print(fresh_episode()[0])
