"""The tasks as gymnasium sees them."""

import copy
import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import error
from gymnasium.utils import env_checker

from environments import gymnasium_envs, rendering, tasks

ID = "HeLMS/StackRedBlue-v0"
STILL = np.zeros(5, np.float32)


@pytest.fixture(scope="module")
def stacking():
    environment = gymnasium.make(ID, object_set=4, reward="dense")
    yield environment
    environment.close()


def test_every_task_is_registered():
    assert gymnasium_envs.name("stack_red_blue") == ID
    for task in tasks.TASKS:
        spec = gymnasium.spec(gymnasium_envs.name(task))
        assert spec.kwargs == {"task": task}


@pytest.mark.filterwarnings("ignore:.*infinity")
@pytest.mark.gl
def test_gymnasiums_own_check():
    environment = gymnasium.make(ID, max_action_delay=2, render_mode="rgb_array")
    env_checker.check_env(environment.unwrapped)


def test_the_seed_decides_this_episode_and_those_after(stacking):
    def episodes(seed):
        first, info = stacking.reset(seed=seed)
        second, after = stacking.reset()
        return first, second, info["seed"], after["seed"]

    first, second, seed, after = episodes(3)
    again = episodes(3)
    assert seed == 3 and after == again[3] and after != episodes(4)[3]
    name = "rgb30_red/abs_pose"
    np.testing.assert_array_equal(first[name], again[0][name])
    np.testing.assert_array_equal(second[name], again[1][name])
    assert np.any(first[name] != second[name])
    # The same episode as through dm_env.
    environment = stacking.unwrapped.environment
    environment.seed_episode(3)
    np.testing.assert_array_equal(environment.reset().observation[name], first[name])


def test_time_truncates(stacking):
    stacking.reset(seed=0)
    ends = []
    for _ in range(400):
        observation, reward, terminated, truncated, info = stacking.step(STILL)
        ends.append((terminated, truncated))
    assert ends == [(False, False)] * 399 + [(False, True)]
    assert stacking.observation_space.contains(observation)
    assert isinstance(reward, float) and 0.0 <= reward <= 1.0
    assert info["success"] is False and info["seed"] == 0


def test_divergence_terminates(stacking):
    stacking.reset(seed=0)
    environment = stacking.unwrapped.environment
    environment.physics[1].qvel[environment.scene.object_dof[0]] = 1e12
    *_, terminated, truncated, info = stacking.step(STILL)
    assert (terminated, truncated) == (True, False)
    assert info["diverged"] == 1 and info["success"] is False


def test_observations_flatten(stacking):
    flat = gymnasium.wrappers.FlattenObservation(stacking)
    observation, _ = flat.reset(seed=0)
    assert observation.dtype == np.float32 and observation.ndim == 1
    assert flat.observation_space.contains(observation)


def test_a_step_outside_an_episode_needs_a_reset():
    environment = gymnasium_envs.StackingEnv(render_mode="rgb_array")
    for call in (lambda: environment.step(STILL), environment.render):
        with pytest.raises(error.ResetNeeded, match="call reset before"):
            call()
    environment.reset(seed=0)
    environment.step(STILL)
    model = environment.environment
    model.physics[1].qvel[model.scene.object_dof[0]] = 1e12
    *_, terminated, _, info = environment.step(STILL)
    assert terminated
    for _ in range(2):
        with pytest.raises(error.ResetNeeded, match="call reset before step"):
            environment.step(STILL)
    assert model.episode_info()["diverged"] == info["diverged"] == 1
    environment.reset()
    environment.step(STILL)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_a_copy_has_the_arguments_and_its_own_episodes(copied):
    original: Any = gymnasium.make(
        ID, object_set=2, reward="sparse", max_action_delay=1
    )
    first, info = original.reset(seed=5)
    twin = copied(original)
    with pytest.raises(error.ResetNeeded):
        twin.step(STILL)
    again, same = twin.reset(seed=5)
    assert same == info
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
    twin.reset(seed=6)
    original.step(STILL)
    assert original.unwrapped.environment.episode_info()["seed"] == 5


VISION: dict[str, Any] = {"id": "HeLMS/LiftRed-v0", "observations": "vision"}


@pytest.fixture(scope="module")
def vision():
    environment = gymnasium.make(
        **VISION, render_mode="rgb_array", render_size=(48, 64)
    )
    yield environment, environment.reset(seed=0)[0]
    environment.close()


@pytest.mark.gl
def test_images(vision):
    environment, observation = vision
    assert observation["basket_front_left/pixels"].shape == (64, 64, 3)
    assert environment.observation_space.contains(observation)
    image = environment.render()
    assert isinstance(image, np.ndarray) and image.shape == (48, 64, 3)


@pytest.mark.gl
@pytest.mark.filterwarnings("ignore")  # gymnasium prints the child's traceback
def test_a_fork_of_a_process_that_has_drawn_says_to_spawn(vision):
    forked = gymnasium.vector.AsyncVectorEnv(
        [lambda: gymnasium.make(**VISION)], context="fork"
    )
    forked.reset_async(seed=0)
    with pytest.raises(rendering.RenderingUnavailable, match='context="spawn"'):
        forked.reset_wait(timeout=60)
    forked.close(terminate=True)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"object_set": 9}, "1, 2, 3, 4, 5"),
        ({"render_camera": "roof"}, "main"),
        ({"render_size": (0, 1)}, "from 1"),
    ],
)
def test_bad_arguments_name_the_valid_ones(arguments, named):
    with pytest.raises(ValueError, match=named):
        gymnasium.make(ID, **arguments)


def test_a_window_names_the_package_that_it_needs():
    with pytest.raises(ValueError, match="rgb_array; .* package pygame"):
        gymnasium_envs.StackingEnv(render_mode="human")
