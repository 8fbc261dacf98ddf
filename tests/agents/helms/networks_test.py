"""Tests of the HeLMS networks and their configuration."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from agents.helms import networks
from agents.helms.config import HelmsConfig
from agents.offline.networks import Dims, look_ahead_frames, unit_statistics

DIMS = Dims(proprio=6, objects=4, action=3)
CONFIG = HelmsConfig(num_skills=4, latent_dim=2, look_ahead=2, hidden_sizes=(8, 7))


def _make(config=CONFIG):
    return networks.HelmsNetworks(config, DIMS, unit_statistics(DIMS))


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_defaults_are_those_of_table_5():
    config = HelmsConfig()
    assert (config.num_skills, config.latent_dim, config.look_ahead) == (5, 8, 5)
    assert (config.beta_y, config.beta_z) == (1.0, 0.1)
    assert (config.batch_size, config.window, config.learning_rate) == (128, 25, 1e-4)
    assert config.hidden_sizes == (256, 256)
    assert (config.min_stddev, config.max_stddev) == (0.01, 1.0)
    assert config.action_stddev == 0.1


@pytest.mark.parametrize(
    "change, message",
    [
        ({"num_skills": 0}, "num_skills must be an integer of at least 1, got 0"),
        ({"num_skills": 2.5}, "num_skills"),
        ({"look_ahead": -1}, "look_ahead"),
        ({"hidden_sizes": ()}, "hidden_sizes"),
        ({"beta_y": float("nan")}, "beta_y"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"min_stddev": 2.0}, "min_stddev < max_stddev"),
        ({"initial_stay_probability": 1.0}, "initial_stay_probability"),
        ({"max_gradient_norm": -1.0}, "max_gradient_norm"),
    ],
)
def test_config_refuses_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as error:
        dataclasses.replace(CONFIG, **change)
    assert "\n" not in str(error.value)


def test_config_round_trip_and_unknown_name():
    assert HelmsConfig.from_dict(CONFIG.to_dict()) == CONFIG
    with pytest.raises(ValueError, match="'skills'; valid: .*num_skills"):
        HelmsConfig.from_dict({"skills": 3})


def test_look_ahead_frames_literal():
    frames = tf.reshape(tf.range(8.0), [1, 4, 2])
    out = look_ahead_frames(frames, 2)
    np.testing.assert_array_equal(out, [[[0, 1, 2, 3, 4, 5], [2, 3, 4, 5, 6, 7]]])
    with pytest.raises(ValueError, match="more than 4 frames"):
        look_ahead_frames(frames, 4)


def test_same_seed_same_weights_other_seed_other_weights():
    first, second = _make(), _make()
    for a, b in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    other = _make(dataclasses.replace(CONFIG, seed=1))
    assert np.abs(other.mid_level._head.w - first.mid_level._head.w).max() > 1e-3


def test_mid_level_equals_a_loop_over_components():
    mid = _make().mid_level
    features = _normal(3, 5, DIMS.proprio + DIMS.objects)
    mean, stddev = mid(tf.constant(features))
    assert mean.shape == stddev.shape == (3, 5, 4, 2)
    for k in range(CONFIG.num_skills):
        x = features
        for layer in mid._hidden:
            x = x @ layer.w[k].numpy() + layer.b[k].numpy()
            x = np.where(x > 0, x, np.expm1(x))
        x = x @ mid._head.w[k].numpy() + mid._head.b[k].numpy()
        np.testing.assert_allclose(mean[:, :, k], x[..., :2], rtol=1e-4, atol=1e-6)
        expected = 0.01 + 0.99 / (1 + np.exp(-x[..., 2:]))
        np.testing.assert_allclose(stddev[:, :, k], expected, rtol=1e-4)


def test_mid_level_stddev_stays_in_its_bounds():
    mid = _make().mid_level
    for sign in (-1, 1):
        mid._head.b.assign(sign * 1e3 * tf.ones_like(mid._head.b))
        _, stddev = mid(tf.zeros([1, DIMS.proprio + DIMS.objects]))
        np.testing.assert_allclose(stddev, np.full((1, 4, 2), (0.01, 1.0)[sign > 0]))


def test_gradient_of_one_component_leaves_the_others():
    mid = _make().mid_level
    with tf.GradientTape() as tape:
        mean, _ = mid(tf.constant(_normal(2, DIMS.proprio + DIMS.objects)))
        loss = tf.reduce_sum(mean[:, 1])
    for gradient in tape.gradient(loss, [layer.w for layer in mid._hidden]):
        assert np.abs(gradient[1]).max() > 0
        assert not gradient.numpy()[[0, 2, 3]].any()


def test_low_level_broadcasts_over_skills_and_is_bounded():
    low = _make().low_level
    latent, proprio = _normal(2, 3, 4, 2), _normal(2, 3, DIMS.proprio, seed=1)
    together = low(tf.constant(latent), tf.constant(proprio[:, :, None]))
    assert together.shape == (2, 3, 4, 3)
    for k in range(4):
        alone = low(tf.constant(latent[:, :, k]), tf.constant(proprio))
        np.testing.assert_allclose(together[:, :, k], alone, rtol=1e-4, atol=1e-6)
    assert np.abs(low(tf.constant(1e6 * latent[:, :, 0]), proprio)).max() <= 1.0


def test_high_level_reads_exactly_its_look_ahead():
    nets = _make()
    proprio, objects = _normal(1, 5, DIMS.proprio), _normal(1, 5, DIMS.objects)
    logits = nets.posterior_logits(proprio, objects)
    assert logits.shape == (1, 3, 4, 4)
    objects[0, 3] += 1.0  # seen at t = 1 and t = 2, not at t = 0
    moved = np.abs(nets.posterior_logits(proprio, objects) - logits).max((0, 2, 3))
    assert moved[0] == 0 and moved[1] > 0 and moved[2] > 0


def test_initial_transitions():
    prior = tf.nn.softmax(networks.initial_transition_logits(4, 0.7)).numpy()
    np.testing.assert_allclose(np.diag(prior), 0.7, rtol=1e-6)
    np.testing.assert_allclose(prior[0, 1:], 0.1, rtol=1e-5)
    np.testing.assert_array_equal(networks.initial_transition_logits(3, 0.0), 0)
    np.testing.assert_array_equal(networks.initial_transition_logits(1, 0.7), 0)


def test_statistics_of_another_size_are_refused():
    wrong = dict(unit_statistics(DIMS), objects=(np.zeros(9), np.ones(9)))
    with pytest.raises(ValueError, match="objects have 9 values, not 4"):
        networks.HelmsNetworks(CONFIG, DIMS, wrong)
