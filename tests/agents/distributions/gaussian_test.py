"""Densities and divergences of diagonal Gaussians against TFP."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from agents.distributions import gaussian

tfd = tfp.distributions


def _pair(rng, shape):
    mean, stddev = rng.normal(size=shape), rng.uniform(0.01, 1.0, size=shape)
    return tf.constant(mean), tf.constant(stddev)


def test_divergences_equal_tfp():
    rng = np.random.default_rng(10)
    p, q = _pair(rng, (3, 4, 8)), _pair(rng, (4, 8))
    kl = gaussian.kl_divergence(*p, *q)
    expected = tfd.kl_divergence(tfd.Normal(*p), tfd.Normal(*q))
    np.testing.assert_allclose(kl, expected, rtol=1e-9)
    assert (kl.numpy() >= 0).all()
    standard = tfd.Normal(tf.zeros_like(p[0]), tf.ones_like(p[0]))
    np.testing.assert_allclose(
        gaussian.kl_to_standard(*p), tfd.Normal(*p).kl_divergence(standard), rtol=1e-9
    )


def test_log_prob_equals_tfp():
    rng = np.random.default_rng(11)
    mean, stddev = _pair(rng, (4, 8))
    x = tf.constant(rng.normal(size=(5, 4, 8)))
    np.testing.assert_allclose(
        gaussian.log_prob(x, mean, stddev),
        tfd.MultivariateNormalDiag(mean, stddev).log_prob(x),
        rtol=1e-9,
    )
    np.testing.assert_allclose(
        gaussian.log_prob(x, mean, 0.1),
        tfd.MultivariateNormalDiag(mean, np.full(8, 0.1)).log_prob(x),
        rtol=1e-9,
    )


def test_a_small_change_of_stddev_has_its_divergence_in_float32():
    # KL(N(0, s) || N(0, (1 + d) s)) = d^2 + O(d^3) = 1e-6 for d = 1e-3: what MPO's
    # trust region on the stddev has to see.
    zero, stddev = tf.zeros([1]), tf.constant([0.3])
    kl = gaussian.kl_divergence(zero, stddev, zero, stddev * 1.001)
    np.testing.assert_allclose(kl, [1e-6], rtol=5e-3)
    np.testing.assert_array_equal(
        gaussian.kl_divergence(zero, stddev, zero, stddev), [0.0]
    )
