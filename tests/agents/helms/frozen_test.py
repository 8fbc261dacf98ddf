"""Tests of the frozen skills; those of their bundle are in tests/agents."""

import numpy as np
import pytest
import tensorflow as tf

from agents import registry
from agents.helms import frozen, networks
from agents.helms.config import HelmsConfig
from agents.offline.networks import Dims

DIMS = Dims(proprio=6, objects=4, action=3)
CONFIG = HelmsConfig(num_skills=4, latent_dim=2, look_ahead=2, hidden_sizes=(8, 7))
NAMES = {"proprio": ["arm"], "objects": ["red", "blue"]}


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _networks(config=CONFIG, seed=3):
    statistics = {
        "proprio": (_normal(6, seed=seed), np.full(6, 2.0)),
        "objects": (_normal(4, seed=seed + 1), np.full(4, 0.5)),
    }
    return networks.HelmsNetworks(config, DIMS, statistics)


def _observation(*leading):
    return {
        "proprio": tf.constant(_normal(*leading, 6)),
        "objects": tf.constant(_normal(*leading, 4, seed=1)),
    }


@pytest.fixture(name="bundle")
def _bundle(tmp_path):
    directory = tmp_path / "skills"
    registry.save_bundle(directory, _networks(), NAMES, data={"episodes": 2})
    return directory


def test_loaded_levels_are_those_of_the_networks(bundle):
    loaded, nets = frozen.load(bundle), _networks()
    observation = _observation(5)
    features = nets.normalize(observation["proprio"], observation["objects"])
    for ours, theirs in zip(
        loaded.mid_level(observation), nets.latent(*features), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    latent = tf.constant(_normal(5, 2))
    expected = nets.low_level(latent, features[0])
    np.testing.assert_array_equal(loaded.low_level(latent, observation), expected)
    # Where there are cameras instead of object states, the low level still acts.
    alone = {"proprio": observation["proprio"]}
    np.testing.assert_array_equal(loaded.low_level(latent, alone), expected)
    assert (loaded.num_skills, loaded.latent_dim, loaded.look_ahead) == (4, 2, 2)


def test_decode_takes_the_chosen_skill(bundle):
    loaded = frozen.load(bundle)
    observation = _observation(4)
    mean, stddev = loaded.mid_level(observation)
    chosen = np.array([3, 0, 1, 3])
    rows = np.arange(4)
    expected = loaded.low_level(tf.constant(mean.numpy()[rows, chosen]), observation)
    decode = tf.function(loaded.decode)
    actions = decode(tf.constant(chosen), observation)
    np.testing.assert_allclose(actions, expected, rtol=1e-5)

    seed = tf.constant([1, 2])
    sampled = decode(tf.constant(chosen), observation, seed)
    np.testing.assert_array_equal(
        sampled, decode(tf.constant(chosen), observation, seed)
    )
    other = decode(tf.constant(chosen), observation, tf.constant([1, 3]))
    assert np.abs(sampled - other).max() > 1e-4
    assert np.abs(sampled - actions).max() > 1e-4
    assert stddev.numpy().min() > 0.01


def test_decode_without_batch_and_with_two_leading_dims(bundle):
    loaded = frozen.load(bundle)
    one = loaded.decode(tf.constant(2), _observation(), tf.constant([0, 0]))
    assert one.shape == (3,)
    many = loaded.decode(tf.constant([[2, 1]]), _observation(1, 2))
    assert many.shape == (1, 2, 3)


def test_transition_matrix_and_posterior_are_distributions(bundle):
    loaded = frozen.load(bundle)
    matrix = loaded.transition_matrix()
    assert matrix.shape == (4, 4)
    np.testing.assert_allclose(tf.reduce_sum(matrix, axis=-1), np.ones(4), rtol=1e-6)
    observation = _observation(2, 7)
    marginals = loaded.posterior(observation["proprio"], observation["objects"])
    assert marginals.shape == (2, 5, 4)
    np.testing.assert_allclose(tf.reduce_sum(marginals, -1), np.ones((2, 5)), rtol=1e-5)


def test_the_ablations_are_loaded_as_what_they_are(tmp_path):
    discrete = HelmsConfig(variant="discrete", num_skills=3, hidden_sizes=(8,))
    registry.save_bundle(tmp_path / "discrete", _networks(discrete), NAMES)
    loaded = frozen.load(tmp_path / "discrete")
    mean, stddev = loaded.mid_level(_observation(2))
    assert mean.shape == (2, 3, 8)
    np.testing.assert_array_equal(stddev, np.zeros((2, 3, 8)))
    choice = tf.constant([0, 2])
    np.testing.assert_array_equal(
        loaded.decode(choice, _observation(2)),
        loaded.decode(choice, _observation(2), tf.constant([1, 2])),
    )
    continuous = HelmsConfig(variant="continuous", num_skills=1, hidden_sizes=(8,))
    registry.save_bundle(tmp_path / "continuous", _networks(continuous), NAMES)
    loaded = frozen.load(tmp_path / "continuous")
    assert loaded.mid_level(_observation(2))[1].numpy().min() > 0.01
    np.testing.assert_array_equal(loaded.transition_matrix(), [[1.0]])
