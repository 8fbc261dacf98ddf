"""Tests of the shared network pieces."""

import numpy as np
import pytest
import tensorflow as tf

from agents import networks
from agents.distributions.policies import Gaussian


def test_mlp_gives_the_same_rows_for_any_leading_dims():
    tf.random.set_seed(0)
    mlp = networks.make_mlp((7, 3))
    inputs = np.random.default_rng(0).normal(size=(2, 4, 5)).astype(np.float32)
    rows = mlp(tf.constant(inputs.reshape(8, 5)))
    np.testing.assert_array_equal(
        mlp(tf.constant(inputs)), rows.numpy().reshape(2, 4, 3)
    )
    np.testing.assert_allclose(mlp(tf.constant(inputs[0, 0])), rows[0], rtol=1e-5)


@pytest.mark.parametrize("sizes", [(), (4, 0)])
def test_mlp_refuses_sizes(sizes):
    with pytest.raises(ValueError, match="hidden sizes"):
        networks.make_mlp(sizes)


def test_input_representation_is_within_one():
    layer = networks.make_input_representation(16)
    out = layer(1e6 * tf.ones([2, 3, 5]))
    assert out.shape == (2, 3, 16)
    assert np.abs(out).max() <= 1.0


def test_normalizer_literal_values_and_clip():
    normalizer = networks.Normalizer(
        np.array([1.0, 0.0, 0.0]), np.array([2.0, 0.0, 1.0])
    )
    # The second deviation is raised to 0.01, the third value is clipped at 10.
    out = normalizer(tf.constant([[5.0, 0.05, -99.0]]))
    np.testing.assert_allclose(out, [[2.0, 5.0, -10.0]], rtol=1e-6)
    assert not normalizer.trainable_variables
    assert len(normalizer.variables) == 2


@pytest.mark.parametrize(
    "mean, stddev, message",
    [
        ([0.0], [1.0, 1.0], "one length"),
        ([np.nan], [1.0], "finite"),
        ([0.0], [-1.0], "negative"),
    ],
)
def test_normalizer_refuses(mean, stddev, message):
    with pytest.raises(ValueError, match=message):
        networks.Normalizer(mean, stddev)


def test_bounded_stddev_at_its_ends_and_middle():
    out = networks.bounded_stddev(tf.constant([-100.0, 0.0, 100.0]), 0.01, 1.0)
    np.testing.assert_allclose(out, [0.01, 0.505, 1.0], rtol=1e-6)


def test_heads_have_the_shapes_of_their_distributions():
    features = tf.ones([2, 3, 4])
    categorical = networks.CategoricalHead(6)(features)
    assert categorical.logits.shape == (2, 3, 6)
    action = networks.ActionHead(5)(features)
    assert np.abs(action.mean).max() < 1.0
    assert isinstance(action, Gaussian)
    np.testing.assert_allclose(action.stddev, np.full((2, 3, 5), 0.1), rtol=1e-6)
