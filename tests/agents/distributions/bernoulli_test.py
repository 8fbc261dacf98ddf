"""Bernoullis over {-1, +1} against sums over their two values."""

import numpy as np
import pytest
import tensorflow as tf

from agents.distributions import bernoulli

LOGITS = np.array([-30.0, -2.0, -1e-3, 0.0, 0.7, 5.0])


def _probabilities(logit):
    """Returns the probabilities [..., 2] of -1 and +1."""
    up = 1 / (1 + np.exp(-logit))
    return np.stack([1 / (1 + np.exp(logit)), up], axis=-1)


def test_the_sign_is_as_the_environment_reads_it():
    found = bernoulli.sign(tf.constant([-1.0, -1e-9, 0.0, 1e-9, 0.3]))
    np.testing.assert_array_equal(found, [-1, -1, -1, 1, 1])


@pytest.mark.parametrize("value", [-1.0, -0.2, 0.0, 0.2, 1.0])
def test_log_prob_is_of_the_sign(value):
    expected = np.log(_probabilities(LOGITS))[:, int(value > 0)]
    x = np.full_like(LOGITS, value)
    found = bernoulli.log_prob(x, LOGITS)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_the_divergence_is_the_sum_over_both_values():
    p, q = (_probabilities(x) for x in np.meshgrid(LOGITS, LOGITS))
    expected = np.sum(p * np.log(p / q), axis=-1)
    found = bernoulli.kl_divergence(*np.meshgrid(LOGITS, LOGITS))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


def test_the_entropy_is_the_sum_over_both_values():
    p = _probabilities(LOGITS)
    expected = -np.sum(p * np.log(p), axis=-1)
    found = bernoulli.entropy(tf.constant(LOGITS))
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_certain_bernoullis_stay_finite_in_float32():
    logit = tf.constant([-1e4, 1e4])
    with tf.GradientTape() as tape:
        tape.watch(logit)
        parts = [
            bernoulli.log_prob(tf.ones([2]), logit),
            bernoulli.kl_divergence(logit, -logit),
            bernoulli.entropy(logit),
        ]
    for values in (*parts, tape.gradient(parts, logit)):
        assert np.isfinite(values).all()
