"""Environments from elsewhere: real ones of dm_control and gymnasium, and faults."""

import json

import dm_env
import numpy as np
import pytest
from dm_env import specs

from environments import EnvironmentConfig, external
from tests.helpers import collection_fakes
from tests.helpers.goal_environment import GOAL

REACHER = "dm_control:reacher/easy"
PENDULUM = "gym:Pendulum-v1"


class Blind(collection_fakes.FakeEnvironment):
    """An environment of dm_env with unbounded actions."""

    def action_spec(self):
        return specs.BoundedArray((2,), np.float32, -np.inf, np.inf)


def make_blind():
    return Blind()


def make_number():
    return 3


def make_fault(size):
    return size


@pytest.mark.parametrize("name", [REACHER, PENDULUM, GOAL])
def test_an_episode_is_a_function_of_its_seed_and_fits_its_specs(name):
    environment = external.load(name, seed=0)
    spec, actions = environment.observation_spec(), environment.action_spec()
    episodes = []
    for seed in (5, 5, 6):
        environment.seed_episode(seed)
        timestep = environment.reset()
        environment.step(actions.maximum)
        for key, array in spec.items():
            array.validate(timestep.observation[key])
        episodes.append(
            np.concatenate([x.ravel() for x in timestep.observation.values()])
        )
    np.testing.assert_array_equal(episodes[0], episodes[1])
    assert not np.array_equal(episodes[0], episodes[2])
    environment.close()


def test_a_terminal_step_ends_the_discount_and_success_may_be_unknown():
    environment = external.load(REACHER, seed=0)
    environment.reset()
    assert environment.success() is None
    assert environment.step(np.zeros(2)).discount == 1.0
    assert external.load(PENDULUM).success() is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "reacher",
            "unknown environment 'reacher'; valid: dm_control:DOMAIN/T",
        ),
        ("dm_control:reacher/esay", "unknown task of dm_control's reacher .*: easy, h"),
        (
            "dm_control:reach/easy",
            "unknown domain of dm_control 'reach'; valid: .*ca",
        ),
        ("gym:Pendulum-v9", "unknown gymnasium environment .*Pendulum-v1"),
        ("gym:no_such_module:A-v0", "cannot import no_such_module"),
        ("gym:CartPole-v1", "Discrete.2. is no Box or Dict; valid: continuous"),
        ("no_such_module:make", "cannot import no_such_module"),
        (f"{__name__}:mak", "has no function 'mak'; valid: .*make_blind"),
        (f"{__name__}:make_number", "makes a int; valid: a dm_env.Environment"),
        (f"{__name__}:make_fault", "cannot be made: TypeError: .*'size'"),
        (f"{__name__}:make_blind", "has unbounded actions"),
    ],
)
def test_what_is_no_environment_is_refused_in_one_line(name, message):
    with pytest.raises(ValueError, match=message) as caught:
        external.load(name)
    assert "\n" not in str(caught.value)


def test_settings_of_the_cell_and_of_others_do_not_mix():
    with pytest.raises(ValueError, match="task is a setting of the Sawyer cell"):
        EnvironmentConfig(environment=PENDULUM, task="pyramid")
    with pytest.raises(ValueError, match="proprio is a setting of an environment from"):
        EnvironmentConfig(proprio=("a",))


def test_the_configuration_survives_json():
    config = EnvironmentConfig(
        environment=PENDULUM,
        proprio=("observation",),
        action_bounds=((-0.1,), (1 / 3,)),
    )
    written = json.loads(json.dumps(config.to_dict()))
    assert EnvironmentConfig.from_dict(written) == config
    assert list(written) == ["environment", "proprio", "objects", "action_bounds"]
    own = EnvironmentConfig()
    assert EnvironmentConfig.from_dict(own.to_dict()) == own
    assert "proprio" not in own.to_dict() and own.to_dict()["environment"] is None


def test_an_external_environment_is_a_dm_env():
    assert isinstance(external.load(PENDULUM), dm_env.Environment)
