"""Stages by hand-placed states, determinism, the time limit."""

import numpy as np

from benchmarks import two_targets

_REST = np.zeros(2, np.float32)


def _at(environment, position):
    """Places the mass there, at rest, and steps without force."""
    with environment.physics.reset_context():
        environment.physics.data.qpos[:] = position
        environment.physics.data.qvel[:] = 0.0
    return environment.step(_REST)


def test_reward_is_for_a_then_b_once_each():
    environment = two_targets.make(seed=0)
    assert environment.reset().observation["objects"][4] == 0.0
    a, b = environment.task.targets
    for place, reward, flag in ((b, 0.0, 0.0), (a, 0.5, 1.0), (a, 0.0, 1.0)):
        timestep = _at(environment, place)
        assert (timestep.reward, timestep.observation["objects"][4]) == (reward, flag)
        assert timestep.discount == 1.0 and not timestep.last()
        assert not environment.success()
    timestep = _at(environment, b)
    assert timestep.last() and (timestep.reward, timestep.discount) == (0.5, 0.0)
    assert environment.success()


def test_a_target_is_touched_within_its_radius():
    environment = two_targets.make(seed=0)
    environment.reset()
    a = environment.task.targets[0]
    towards_middle = -np.sign(a[0]) * np.array([1.0, 0.0])
    outside = a + (two_targets.RADIUS + 1e-3) * towards_middle
    assert _at(environment, outside).reward == 0.0
    inside = a + (two_targets.RADIUS - 1e-3) * towards_middle
    assert _at(environment, inside).reward == 0.5


def test_observations_are_of_the_state():
    environment = two_targets.make(seed=3)
    timestep = environment.reset()
    environment.step(np.array([1.0, -0.5], np.float32))
    timestep = environment.step(np.array([1.0, -0.5], np.float32))
    proprio, objects = (timestep.observation[k] for k in ("proprio", "objects"))
    assert proprio.dtype == objects.dtype == np.float32
    data = environment.physics.data
    np.testing.assert_allclose(proprio, [*data.qpos, *data.qvel], rtol=1e-6)
    assert proprio[2] > 0 > proprio[3]
    for target, vector in zip(
        environment.task.targets, objects[:4].reshape(2, 2), strict=True
    ):
        np.testing.assert_allclose(proprio[:2] + vector, target, atol=1e-6)


def _rollout(seed):
    environment, rows = two_targets.make(seed), []
    action = np.array([0.3, -0.7], np.float32)
    for _ in range(3):
        timestep = environment.reset()
        start = timestep.observation
        for _ in range(5):
            timestep = environment.step(action)
        rows += [*start["objects"], *timestep.observation["proprio"]]
        points = np.stack([start["proprio"][:2], *environment.task.targets])
        gaps = points - np.roll(points, 1, axis=0)
        assert np.linalg.norm(gaps, axis=1).min() >= two_targets.APART
    return np.asarray(rows)


def test_seeds_decide_everything():
    np.testing.assert_array_equal(_rollout(1), _rollout(1))
    assert not np.allclose(_rollout(1), _rollout(2))


def test_the_time_limit_is_no_termination():
    environment = two_targets.make(seed=0)
    timestep, steps = environment.reset(), 0
    while not timestep.last():
        timestep, steps = environment.step(_REST), steps + 1
    assert steps == two_targets.EPISODE_STEPS
    assert timestep.discount == 1.0 and not environment.success()


def test_a_free_episode_keeps_its_flag_and_has_no_reward():
    environment, flags = two_targets.make(seed=0, free=True), set()
    for _ in range(10):
        flag = environment.reset().observation["objects"][4]
        flags.add(float(flag))
        for target in (*environment.task.targets, environment.task.targets[0]):
            timestep = _at(environment, target)
            assert timestep.reward == 0.0 and not timestep.last()
            assert timestep.observation["objects"][4] == flag
    assert flags == {0.0, 1.0}
