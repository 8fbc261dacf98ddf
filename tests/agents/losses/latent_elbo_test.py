"""Tests of the bound with one Gaussian latent a step, against TFP and by hand."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from agents.distributions import gaussian
from agents.losses import latent_elbo, masking

tfd = tfp.distributions

B, T, Z = 3, 4, 2


def _posterior(seed=0):
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(B, T, Z))
    stddev = rng.uniform(0.05, 1.5, size=(B, T, Z))
    latent = mean + stddev * rng.normal(size=(B, T, Z))
    return tuple(tf.constant(x) for x in (mean, stddev, latent))


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.95])
def test_the_ar1_kl_is_tfps(coefficient):
    mean, stddev, latent = _posterior()
    kl = latent_elbo.ar1_kl(mean, stddev, latent, coefficient).numpy()
    assert kl.shape == (B, T, Z) and (kl >= 0).all()
    for t in range(T):
        prior = tfd.Normal(tf.zeros([B, Z], tf.float64), tf.ones([], tf.float64))
        if t > 0:
            deviation = tf.constant(np.sqrt(1 - coefficient**2))
            prior = tfd.Normal(coefficient * latent[:, t - 1], deviation)
        expected = tfd.kl_divergence(tfd.Normal(mean[:, t], stddev[:, t]), prior)
        np.testing.assert_allclose(kl[:, t], expected, rtol=1e-10)


def test_coefficient_0_is_the_standard_normal():
    mean, stddev, latent = _posterior()
    np.testing.assert_allclose(
        latent_elbo.ar1_kl(mean, stddev, latent, 0.0),
        gaussian.kl_to_standard(mean, stddev),
        rtol=1e-10,
    )
    with pytest.raises(ValueError, match=r"must be in \[0, 1\)"):
        latent_elbo.ar1_kl(mean, stddev, latent, 1.0)


def test_the_kl_vanishes_at_the_prior_and_pulls_on_the_draw_before():
    _, _, latent = _posterior()
    c = 0.8
    mean = tf.concat([tf.zeros_like(latent[:, :1]), c * latent[:, :-1]], axis=1)
    stddev = tf.concat([latent[:, :1] * 0 + 1, latent[:, 1:] * 0 + 0.6], axis=1)
    kl = latent_elbo.ar1_kl(mean, stddev, latent, c)
    np.testing.assert_allclose(kl, np.zeros((B, T, Z)), atol=1e-12)
    with tf.GradientTape() as tape:
        tape.watch(latent)
        kl = tf.reduce_sum(latent_elbo.ar1_kl(mean + 1.0, stddev, latent, c))
    gradient = tape.gradient(kl, latent).numpy()
    # d/dz of (mean - c z)^2 / (2 (1 - c^2)) where mean - c z = 1.
    np.testing.assert_allclose(gradient[:, :-1], -c / (1 - c**2), rtol=1e-10)
    np.testing.assert_array_equal(gradient[:, -1], 0.0)


def test_the_bound_by_hand_and_its_parts():
    log_likelihood = tf.constant([[1.0, 2.0, 50.0]])
    latent_kl = tf.constant([[0.5, 0.25, 70.0]])
    mask = tf.constant([[1.0, 1.0, 0.0]])
    bound, stats = latent_elbo.latent_elbo(log_likelihood, latent_kl, mask, beta_z=0.2)
    np.testing.assert_allclose(stats.log_likelihood, [3.0])
    np.testing.assert_allclose(stats.latent_kl, [0.75])
    np.testing.assert_allclose(bound, [2.85], rtol=1e-6)


@pytest.mark.parametrize("junk", [np.nan, np.inf, 1e30])
def test_masked_steps_change_neither_value_nor_gradient(junk):
    values = tf.constant([[[1.0], [2.0], [junk]], [[3.0], [junk], [junk]]])
    mask = tf.constant([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = masking.sum_valid(values, mask)
    np.testing.assert_array_equal(total, [[3.0], [3.0]])
    np.testing.assert_array_equal(tape.gradient(total, values)[..., 0], mask)
