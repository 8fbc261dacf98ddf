"""Principal components and KLs against closed cases and TFP."""

import numpy as np
import pytest
import tensorflow_probability as tfp

from launchers.analysis import latent_space

tfd = tfp.distributions


def test_components_of_points_on_a_line():
    t = np.random.default_rng(0).normal(size=500)
    direction = np.array([0.6, 0.0, -0.8])
    found = latent_space.principal_components(t[:, None] * direction + [1.0, 2.0, 3.0])
    np.testing.assert_allclose(found.axes[0], -direction, atol=1e-6)
    np.testing.assert_allclose(found.explained, [1.0, 0.0], atol=1e-9)
    projected = found.project(np.array([[1.0, 2.0, 3.0]]) + direction)
    mean = t.mean()
    np.testing.assert_allclose(projected[0, 0], mean - 1.0, atol=1e-6)


def test_components_are_those_of_the_covariance():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4))
    found = latent_space.principal_components(values, count=4)
    scales, axes = np.linalg.eigh(np.cov(values.T))
    np.testing.assert_allclose(found.explained, scales[::-1] / scales.sum())
    np.testing.assert_allclose(abs(found.axes @ axes[:, ::-1]), np.eye(4), atol=1e-6)


def test_kl_to_the_standard_normal_is_tfps():
    rng = np.random.default_rng(2)
    means, stddevs = rng.normal(size=(50, 3)), rng.uniform(0.05, 2.0, size=(50, 3))
    standard = tfd.Normal(np.float64(0.0), np.float64(1.0))
    expected = tfd.kl_divergence(tfd.Normal(means, stddevs), standard)
    np.testing.assert_allclose(
        latent_space.kl_to_standard(means, stddevs),
        expected.numpy().mean(axis=0),
        rtol=1e-5,
    )


def test_kl_to_the_autoregressive_prior_is_tfps():
    rng = np.random.default_rng(3)
    means, stddevs = rng.normal(size=(5, 2)), rng.uniform(0.2, 1.0, size=(5, 2))
    prior_means = np.concatenate([np.zeros((1, 2)), 0.8 * means[:-1]])
    prior_stddevs = np.array([1.0, 0.6, 0.6, 0.6, 0.6])[:, None]
    kl = tfd.kl_divergence(
        tfd.Normal(means, stddevs), tfd.Normal(prior_means, prior_stddevs)
    )
    np.testing.assert_allclose(
        latent_space.kl_to_autoregressive(means, stddevs, 0.8, 0.6),
        kl.numpy().mean(axis=0),
    )
    np.testing.assert_allclose(
        latent_space.kl_to_autoregressive(means, stddevs, 0.0, 1.0),
        latent_space.kl_to_standard(means, stddevs),
    )
    np.testing.assert_allclose(
        latent_space.kl_to_autoregressive(means[:1], stddevs[:1], 0.8, 0.6),
        latent_space.kl_to_standard(means[:1], stddevs[:1]),
    )


def test_what_labels_explain():
    labels = np.array([0, 0, 1, 1])
    values = np.array([[0.0, 1.0, 5.0], [0.0, -1.0, 5.0], [2.0, 1.0, 5.0], [2, -1, 5]])
    np.testing.assert_allclose(
        latent_space.explained_by(labels, values), [1.0, 0.0, 0.0]
    )
    halves = latent_space.explained_by(labels, np.array([[0.0], [2.0], [2.0], [4.0]]))
    assert halves[0] == pytest.approx(0.5)


def test_a_dimension_that_says_nothing_has_no_variance_of_its_mean():
    means = np.array([[1.0, 3.0], [1.0, 5.0]])
    np.testing.assert_allclose(latent_space.mean_variance(means), [0.0, 1.0])
