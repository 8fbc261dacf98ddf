"""The cosine schedule against a hand loop of Adam."""

import math

import numpy as np
import pytest
import tensorflow as tf

from agents.offline import schedule


def _rate(initial, step, num_steps):
    progress = min(step / num_steps, 1.0)
    return initial * (0.1 + 0.9 * (1.0 + math.cos(math.pi * progress)) / 2.0)


def test_the_rate_falls_from_all_to_a_tenth_and_stays():
    rates = [float(schedule.cosine(2.0, tf.constant(s), 8)) for s in (0, 4, 8, 99)]
    assert rates == pytest.approx([2.0, 1.1, 0.2, 0.2])


def test_updates_are_those_of_a_hand_loop():
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(7, 3)).astype(np.float32)
    parameter = tf.Variable(tf.zeros([3]))
    optimizer = schedule.CosineAdam(0.1, num_steps=5)
    apply = tf.function(lambda g: optimizer.apply([g], [parameter]))
    expected, m, v = np.zeros(3), np.zeros(3), np.zeros(3)
    for step, gradient in enumerate(gradients):
        apply(tf.constant(gradient))
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        m_hat, v_hat = m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))
        expected -= _rate(0.1, step, 5) * m_hat / (np.sqrt(v_hat) + 1e-8)
        np.testing.assert_allclose(parameter, expected, rtol=1e-4, atol=1e-6)
