"""The environment as a dm_env, its physics and delay."""

import numpy as np
import pytest
from absl.testing import absltest
from dm_env import test_utils

import environments
from environments import controller, observations, scene
from environments.rendering import mujoco


class ConformanceTest(test_utils.EnvironmentTestMixin, absltest.TestCase):
    """dm_env's own conformance tests."""

    def make_object_under_test(self):
        return environments.make(
            domain_randomization=True, max_action_delay=2, seed=0, reward="dense"
        )

    def make_action_sequence(self):
        rng = np.random.default_rng(0)
        for _ in range(20):
            yield rng.uniform(-1, 1, 5).astype(np.float32)


@pytest.fixture(scope="module")
def nominal():
    environment = environments.make(seed=0, reward="dense")
    yield environment
    environment.close()


def still(finger=-1.0):
    return np.array([0, 0, 0, 0, finger], np.float32)


def test_an_episode_has_400_steps_and_ends_by_time(nominal):
    nominal.seed_episode(1)
    nominal.reset()
    steps = [nominal.step(still()) for _ in range(400)]
    assert not any(s.last() for s in steps[:-1])
    assert steps[-1].last()
    assert steps[-1].discount == 1.0
    assert nominal.step(still()).first()


def test_observations_are_stacked_newest_first(nominal):
    nominal.seed_episode(1)
    first = nominal.reset().observation["sawyer/joints/angle"]
    np.testing.assert_array_equal(first[0], first[1])
    frames = [first[0]]
    for _ in range(3):
        action = np.array([1, 0, 0, 0, -1], np.float32)
        last = nominal.step(action).observation["sawyer/joints/angle"]
        frames.insert(0, last[0])
    np.testing.assert_array_equal(last, frames[:3])
    assert not np.array_equal(last[0], last[1])


def test_the_previous_action_is_what_was_sent(nominal):
    nominal.seed_episode(1)
    before = nominal.reset().observation["action/environment"]
    # Before the first: a standing tool, so little but motion toward the posture.
    np.testing.assert_array_equal(before[0], before[1])
    assert np.abs(before[0, :7]).max() < 0.5
    assert before[0, 7] == -255.0
    after = nominal.step(still(1.0)).observation["action/environment"]
    _, data = nominal.physics
    np.testing.assert_allclose(after[0], data.ctrl, rtol=1e-6)
    np.testing.assert_array_equal(after[1], before[0])
    assert after[0, 7] == 255.0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_tool_moves_as_told(nominal, axis):
    nominal.seed_episode(3)
    nominal.reset()
    action = still()
    # Toward the workspace's centre, where nothing limits the move.
    pinch = nominal.state().pinch
    sign = np.sign(scene.WORKSPACE_CENTRE[axis] - pinch[axis])
    action[axis] = sign
    for _ in range(10):  # the servos lag by a tenth of a second
        nominal.step(action)
    start = nominal.state().pinch.copy()
    for _ in range(20):
        nominal.step(action)
    moved = nominal.state().pinch - start
    expected = sign * controller.MAX_LINEAR_VELOCITY * 20 * scene.CONTROL_TIMESTEP
    assert moved[axis] == pytest.approx(expected, rel=0.15)
    # The hand keeps pointing down.
    _, data = nominal.physics
    assert data.site_xmat[nominal.scene.pinch_site][8] < -0.999


def test_a_state_is_a_snapshot(nominal):
    nominal.seed_episode(3)
    nominal.reset()
    before = nominal.state()
    pinch, red = before.pinch.copy(), before.objects["red"].copy()
    for _ in range(5):
        nominal.step(np.array([1, 1, 1, 0, -1], np.float32))
    np.testing.assert_array_equal(before.pinch, pinch)
    np.testing.assert_array_equal(before.objects["red"], red)
    assert not np.array_equal(nominal.state().pinch, pinch)


def test_the_hand_turns_as_told(nominal):
    nominal.seed_episode(3)
    nominal.reset()
    _, data = nominal.physics

    def yaw():
        matrix = data.site_xmat[nominal.scene.pinch_site].reshape(3, 3)
        return np.arctan2(matrix[1, 0], matrix[0, 0])

    action = still()
    action[3] = 1.0
    for _ in range(10):  # the servos lag by a tenth of a second
        nominal.step(action)
    start = yaw()
    for _ in range(10):
        nominal.step(action)
    assert yaw() - start == pytest.approx(0.5, rel=0.15)


def test_the_tool_stays_in_the_workspace(nominal):
    nominal.seed_episode(5)
    nominal.reset()
    action = np.array([1, 1, 0, 0, -1], np.float32)
    for _ in range(120):
        nominal.step(action)
    high = scene.WORKSPACE_CENTRE + scene.WORKSPACE_SIZE / 2
    assert np.all(nominal.state().pinch[:2] < high[:2] + 0.01)
    assert np.all(nominal.state().pinch[:2] > high[:2] - 0.02)


@pytest.mark.parametrize("delay", [0, 1, 2])
def test_an_action_acts_after_the_delay(delay):
    environment = environments.make(max_action_delay=2, seed=0)
    seed = next(s for s in range(50) if _delay_of(environment, s) == delay)
    environment.seed_episode(seed)
    environment.reset()
    sent = [
        environment.step(still(1.0)).observation["action/environment"][0, 7]
        for _ in range(4)
    ]
    assert sent == [-255.0] * delay + [255.0] * (4 - delay)


def _delay_of(environment, seed):
    environment.seed_episode(seed)
    environment.reset()
    return environment.episode_info()["action_delay"]


def test_a_stack_is_a_success_and_a_held_object_is_not(nominal):
    nominal.seed_episode(0)
    nominal.reset()
    model, data = nominal.physics
    red, blue = nominal.scene.object_qpos[0], nominal.scene.object_qpos[2]
    assert not nominal.success()
    data.qpos[blue : blue + 7] = [0.6, 0.0, 0.0485 + 0.016, 0.5, 0.5, 0.5, 0.5]
    data.qpos[red : red + 7] = [0.6, 0.0, 0.0485 + 0.032 + 0.0255, 1, 0, 0, 0]
    green = nominal.scene.object_qpos[1]
    data.qpos[green : green + 2] = [0.68, 0.1]
    # Blue lies on its broad side: find its height by letting both fall a little.
    data.qpos[[blue + 2, red + 2]] += 0.01
    data.qvel[:] = 0
    for _ in range(20):
        timestep = nominal.step(still())
    assert nominal.success()
    assert timestep.reward > 0.6
    data.qpos[red + 2] += 0.02  # in the air
    mujoco.mj_forward(model, data)
    assert not nominal.success()


def test_initial_states_are_at_rest_and_inside(nominal):
    for seed in range(5):
        nominal.seed_episode(seed)
        nominal.reset()
        _, data = nominal.physics
        before = data.qpos[nominal.scene.object_position].copy()
        assert np.all(np.abs(before[:, :2] - scene.BASKET_CENTRE) < 0.16)
        nominal.step(still())
        after = data.qpos[nominal.scene.object_position]
        np.testing.assert_allclose(after, before, atol=5e-4)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"task": "juggle"}, "stack_red_blue"),
        ({"reward": "big"}, "staged_sparse"),
        ({"object_set": 6}, "1, 2, 3, 4, 5"),
        ({"object_set": True}, "1, 2, 3, 4, 5"),
        ({"observations": "smell"}, "vision"),
        ({"max_action_delay": 3}, "0, 1, 2"),
        ({"preset": "magic"}, "reference"),
        ({"cameras": ["roof"]}, "basket_front_left"),
    ],
)
def test_bad_arguments_name_the_valid_ones(arguments, named):
    with pytest.raises(ValueError, match=named):
        environments.make(**arguments)


def test_groups_hold_every_table_3_value_once(nominal):
    observation = nominal.reset().observation
    grouped = observations.group(observation)
    assert grouped["proprio"].shape == (observations.GROUP_SIZES["proprio"],)
    assert grouped["objects"].shape == (126,)
    np.testing.assert_array_equal(
        grouped["proprio"][:21], observation["sawyer/joints/angle"].ravel()
    )
    batch = {k: np.stack([v, v + 1]) for k, v in observation.items()}
    np.testing.assert_array_equal(
        observations.group(batch)["objects"][0], grouped["objects"]
    )
    with pytest.raises(ValueError, match="wrist/force"):
        observations.group({k: v for k, v in observation.items() if k != "wrist/force"})


@pytest.mark.gl
def test_images_show_the_objects():
    environment = environments.make(observations="vision", seed=0)
    timestep = environment.reset()
    image = timestep.observation["basket_front_left/pixels"]
    assert image.shape == (64, 64, 3)
    for channel in range(3):
        others = np.delete(image.astype(int), channel, axis=2).max(axis=2)
        assert np.any(image[..., channel] > others + 60)
    view = environment.render(120, 160)
    assert view.shape == (120, 160, 3)
    with pytest.raises(ValueError, match="main"):
        environment.render(camera="roof")
    environment.close()


def test_grouped_observations_are_the_named_ones_grouped():
    named = environments.make(domain_randomization=True, seed=0)
    grouped = environments.make(domain_randomization=True, seed=0, grouped=True)
    assert grouped.observation_spec().keys() == observations.GROUPS.keys()
    for environment in (named, grouped):
        environment.seed_episode(1)
    pairs = [(named.reset(), grouped.reset())]
    action = np.array([0.5, -0.5, -1.0, 0.2, 1.0], np.float32)
    pairs += [(named.step(action), grouped.step(action)) for _ in range(4)]
    for one, other in pairs:
        expected = observations.group(one.observation)
        assert other.observation.keys() == expected.keys()
        for name, value in other.observation.items():
            grouped.observation_spec()[name].validate(value)
            np.testing.assert_array_equal(value, expected[name])
