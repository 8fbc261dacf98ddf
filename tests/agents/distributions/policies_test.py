"""The hybrid distribution by brute force (the mixture: `registry_test`)."""

import numpy as np
import scipy.stats
import tensorflow as tf

from agents.distributions.policies import Gaussian, Hybrid

SEED = tf.constant([1, 2])


def _hybrid(dtype=tf.float64):
    mean = tf.constant([[0.3, -0.5], [-0.9, 0.1]], dtype)
    stddev = tf.constant([[0.1, 0.4], [0.2, 0.3]], dtype)
    return Hybrid(Gaussian(mean, stddev), tf.constant([-1.2, 0.4], dtype))


def test_the_likelihood_of_a_hybrid_by_scipy():
    hybrid = _hybrid()
    actions = np.random.default_rng(0).uniform(-1, 1, size=(7, 2, 3))
    density = scipy.stats.norm.logpdf(actions[..., :2], *map(np.array, hybrid.gaussian))
    up = scipy.special.expit(hybrid.logit.numpy())
    expected = density.sum(axis=-1) + np.log(np.where(actions[..., 2] > 0, up, 1 - up))
    np.testing.assert_allclose(hybrid.log_prob(actions), expected, rtol=1e-10)


def test_the_likelihood_of_a_hybrid_is_normalised():
    """Summed over a grid of the Gaussian components, and over the two fingers."""
    grid = np.linspace(-4, 4, 401)
    actions = np.stack(np.meshgrid(grid, grid, [-1.0, 1.0]), axis=-1)[..., None, :]
    total = np.exp(_hybrid().log_prob(actions)).sum(axis=(0, 1, 2))
    np.testing.assert_allclose(total * (grid[1] - grid[0]) ** 2, 1.0, rtol=1e-6)


def test_draws_of_a_hybrid():
    hybrid = _hybrid(tf.float32)
    draws = hybrid.sample(40_000, SEED).numpy()
    assert draws.shape == (40_000, 2, 3)
    mean, stddev = hybrid.gaussian
    np.testing.assert_allclose(draws[..., :2].mean(axis=0), mean, atol=0.01)
    np.testing.assert_allclose(draws[..., :2].std(axis=0), stddev, rtol=0.02)
    assert set(np.unique(draws[..., 2])) == {-1.0, 1.0}
    up = scipy.special.expit(hybrid.logit.numpy())
    np.testing.assert_allclose((draws[..., 2] > 0).mean(axis=0), up, atol=0.01)
    np.testing.assert_allclose(hybrid.mean[:, 2], 2 * up - 1, rtol=1e-5)
    # The finger is drawn apart from the rest.
    correlation = np.corrcoef(draws[:, 0].T)
    assert np.abs(correlation - np.eye(3)).max() < 0.02
    np.testing.assert_array_equal(hybrid.sample(40_000, SEED), draws)


def test_the_mean_and_the_mode_of_a_hybrid_have_one_sign():
    hybrid = _hybrid()
    np.testing.assert_array_equal(hybrid.mode(), [[0.3, -0.5, -1], [-0.9, 0.1, 1]])
    np.testing.assert_array_equal(hybrid.mean[:, :2], hybrid.mode()[:, :2])
    np.testing.assert_array_equal(np.sign(hybrid.mean), np.sign(hybrid.mode()))
