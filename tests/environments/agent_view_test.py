"""Agents see proprio and objects of an external environment, and act within one."""

import dataclasses

import numpy as np
import pytest

import environments
from environments import EnvironmentConfig
from tests.helpers.goal_environment import GOAL


def test_agents_see_the_groups_and_act_within_one():
    config = EnvironmentConfig(
        environment=GOAL,
        proprio=("observation/hand",),
        objects=("goal", "hand"),
        grouped=True,
    )
    environment = environments.build(config, seed=0)
    assert environment.action_spec().minimum == -1.0
    observation = environment.reset().observation
    sizes = {k: v.shape for k, v in environment.observation_spec().items()}
    assert sizes == {"proprio": (2,), "objects": (4,)}
    assert {k: v.shape for k, v in observation.items()} == sizes
    inner = environment.environment._inner._environment.unwrapped
    timestep = environment.step(np.array([0.5, -1.0], np.float32))
    np.testing.assert_allclose(inner.action, [1.0, 0.0])
    assert timestep.last() and timestep.discount == 1.0 and environment.success()
    assert isinstance(timestep.reward, np.float32)
    bounds = ((-1.0, 1.0), (0.0, 2.0))  # of skills
    scaled = environments.build(dataclasses.replace(config, action_bounds=bounds), 0)
    scaled.reset()
    scaled.step(np.array([0.0, 1.0], np.float32))
    inner = scaled.environment._inner._environment.unwrapped
    np.testing.assert_allclose(inner.action, [-0.5, 2.0])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "--proprio is missing: which observations of gym.*valid: observation"),
        ({"proprio": ("x",), "objects": ("x",)}, "--proprio of .* no 'x'; valid: obs"),
    ],
)
def test_observations_that_are_not_there(keys, message):
    config = EnvironmentConfig(environment="gym:Pendulum-v1", grouped=True, **keys)
    with pytest.raises(ValueError, match=message):
        environments.build(config)
