"""Networks of MPO agents on vectors and images."""

import numpy as np
import pytest
import tensorflow as tf
from acme import specs

from agents.mpo import networks
from agents.mpo.representation import InputRepresentation
from agents.registry import AGENTS

_IMAGE = "camera/pixels"
_SPEC = specs.EnvironmentSpec(
    observations={
        "proprio": specs.Array((3,), np.float32),
        "objects": specs.Array((2,), np.float32),
        _IMAGE: specs.Array((16, 16, 3), np.uint8),
    },
    actions=specs.BoundedArray((2,), np.float32, -1.0, 1.0),
    rewards=specs.Array((), np.float32),
    discounts=specs.BoundedArray((), np.float32, 0.0, 1.0),
)


def _observation(seed=0, batch=2, time=2):
    rng = np.random.default_rng(seed)
    return {
        "proprio": tf.constant(rng.normal(size=(batch, time, 3)), tf.float32),
        "objects": tf.constant(rng.normal(size=(batch, time, 2)), tf.float32),
        _IMAGE: tf.constant(rng.integers(256, size=(batch, time, 16, 16, 3)), tf.uint8),
    }


def _policy(shapes, statistics, hidden_sizes=(4, 3), num_actions=3):
    representation = InputRepresentation(shapes, (*shapes,), statistics, 5)
    policy = networks.CategoricalPolicy(representation, hidden_sizes, num_actions)
    policy({key: tf.zeros([1, *shape]) for key, shape in shapes.items()})
    for variable in policy.trainable_variables:  # biases and offsets start at 0
        variable.assign_add(0.3 * tf.random.normal(variable.shape))
    return policy


def test_a_constant_observation_is_folded_into_the_bias():
    tf.random.set_seed(0)
    rng = np.random.default_rng(0)
    shapes = {"proprio": (3,), "told": (4,), "objects": (2,)}
    statistics = {
        k: (rng.normal(size=n), rng.random(n) + 0.5) for k, (n,) in shapes.items()
    }
    wide = _policy(shapes, statistics)
    narrow = _policy({key: shapes[key] for key in ("objects", "proprio")}, {})
    told = np.array([1.0, 0.0, -2.0, 50.0], np.float32)  # the last is clipped
    observation = {key: _observation()[key] for key in ("proprio", "objects")}
    constant = tf.broadcast_to(told, [2, 2, 4])
    expected = wide({**observation, "told": constant}).numpy()
    assert np.abs(narrow(observation) - expected).max() > 0.1
    narrow.fold(wide, {"told": told})
    np.testing.assert_allclose(narrow(observation), expected, atol=1e-5)
    other = wide({**observation, "told": 0.0 * constant})
    assert np.abs(other - expected).max() > 0.01


def test_what_does_not_fold_is_refused():
    shapes = {"proprio": (3,), "objects": (2,)}
    policy = _policy(shapes, {})
    for other, constants in (
        (_policy(shapes, {}), {"told": np.zeros(4)}),
        (_policy({**shapes, "told": (4,)}, {}), {}),
        (_policy({**shapes, "proprio": (4,)}, {}), {}),
        (_policy(shapes, {}, hidden_sizes=(4,)), {}),
        (_policy(shapes, {}, num_actions=2), {}),
    ):
        with pytest.raises(ValueError):
            policy.fold(other, constants)


def test_an_asymmetric_agent_acts_on_images_and_values_by_state():
    agent = AGENTS["asymmetric_mpo"]
    config = agent.config_type(
        **agent.default_settings((_IMAGE,)),
        policy_hidden_sizes=(8,),
        critic_hidden_sizes=(8,),
        input_size=8,
        critic_rnn_size=0,
    )
    made = agent.builder(config, None).make_networks(_SPEC, seed=0)
    observation = _observation()
    other = _observation(seed=1)
    action = tf.zeros([2, 2, 2])
    mean = made.policy(observation).mean
    value = made.critic(observation, action)
    assert mean.shape == (2, 2, 2) and value.shape == (2, 2)
    moved = {**observation, "objects": other["objects"]}
    np.testing.assert_array_equal(made.policy(moved).mean, mean)
    assert not np.allclose(made.critic(moved, action), value)
    seen = {**observation, _IMAGE: other[_IMAGE]}
    assert not np.allclose(made.policy(seen).mean, mean)
    np.testing.assert_array_equal(made.critic(seen, action), value)
    with pytest.raises(ValueError, match="needs images"):
        agent.default_settings(())


def test_the_critic_of_a_vision_agent_sees_state_or_images():
    state, images = ("proprio", "objects"), ("proprio", _IMAGE)
    for name, asymmetric, seen in (
        ("helms_mix", None, state),
        ("helms_mix", False, images),
        ("mpo", None, images),
        ("mpo", True, state),
        ("asymmetric_mpo", None, state),
    ):
        agent = AGENTS[name]
        config = agent.config_type(**agent.default_settings((_IMAGE,), asymmetric))
        assert (config.policy_keys, config.critic_keys) == (images, seen), name
    with pytest.raises(ValueError, match="asymmetric critic needs images"):
        AGENTS["mpo"].default_settings((), True)
    with pytest.raises(ValueError, match="acts on state"):
        AGENTS["helms_cat"].default_settings((_IMAGE,), True)
