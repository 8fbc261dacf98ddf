"""TD(0) on sequences with literal numbers: bootstrap, termination, padding."""

import numpy as np
import pytest
import tensorflow as tf

from agents.losses import critic


def _td(value, next_value, reward, discount, valid, gamma=0.5):
    tensors = [
        tf.constant([v], tf.float32)
        for v in (value, next_value, reward, discount, valid)
    ]
    return critic.td_zero(*tensors, gamma=gamma)


def test_targets_by_hand():
    td = _td([1, 2, 3], [10, 20, 30], [0.1, 0.2, 0.3], [1, 1, 1], [1, 1, 1])
    np.testing.assert_allclose(td.target, [[10.1, 15.2]], rtol=1e-6)
    np.testing.assert_allclose(td.error, [[9.1, 13.2]], rtol=1e-6)
    np.testing.assert_allclose(td.loss, [[41.405, 87.12]], rtol=1e-5)


def test_termination_stops_the_bootstrap():
    # The environment ends the episode after row 1; row 2 is the final observation.
    td = _td([1, 2, 0], [10, 20, 30], [0.1, 0.2, 0], [1, 0, 0], [1, 1, 0])
    np.testing.assert_allclose(td.target, [[10.1, 0.2]], rtol=1e-6)


def test_time_limit_bootstraps_from_the_final_observation():
    td = _td([1, 2, 0, 0], [9, 20, 30, 99], [0, 0.2, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0])
    np.testing.assert_allclose(td.target[0, 1], 0.2 + 0.5 * 30, rtol=1e-6)
    # The final observation's row and the padding teach nothing.
    np.testing.assert_array_equal(td.mask, [[1, 1, 0]])
    np.testing.assert_array_equal(td.loss[0, 2], 0.0)
    np.testing.assert_array_equal(td.error[0, 2], 0.0)


def test_gradients_stop_at_the_target_and_the_mask():
    value = tf.constant([[1.0, 2.0, 3.0]])
    next_value = tf.constant([[10.0, 20.0, 30.0]])
    with tf.GradientTape() as tape:
        tape.watch([value, next_value])
        td = critic.td_zero(
            value,
            next_value,
            tf.zeros([1, 3]),
            tf.ones([1, 3]),
            tf.constant([[1.0, 0.0, 0.0]]),
            gamma=0.5,
        )
        loss = tf.reduce_sum(td.loss)
    gradients = tape.gradient(loss, [value, next_value], unconnected_gradients="zero")
    # d/dv of (10 - v)^2 / 2 at 1 is -9.
    np.testing.assert_allclose(gradients[0], [[-9.0, 0.0, 0.0]])
    np.testing.assert_array_equal(gradients[1], np.zeros((1, 3)))


def test_expected_value_and_value_of():
    logits = tf.math.log(tf.constant([[[0.25, 0.75], [0.5, 0.5]]]))
    q = tf.constant([[[4.0, 8.0], [1.0, 3.0]]])
    np.testing.assert_allclose(
        critic.expected_value(logits, q), [[7.0, 2.0]], rtol=1e-6
    )
    taken = critic.value_of(q, tf.constant([[1, 0]], tf.int32))
    np.testing.assert_array_equal(taken, [[8.0, 1.0]])


def test_observed_states_and_masked_mean():
    valid = tf.constant([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    np.testing.assert_array_equal(
        critic.observed_states(valid), [[1, 1, 1, 0], [1, 1, 1, 1]]
    )
    values = tf.constant([[1.0, 2.0, 300.0, 300.0]])
    assert float(critic.masked_mean(values, valid[:1])) == 1.5
    assert float(critic.masked_mean(values, tf.zeros([1, 4]))) == 0.0


def test_bad_input():
    with pytest.raises(ValueError, match="gamma"):
        _td([1, 2], [1, 2], [0, 0], [1, 1], [1, 1], gamma=1.5)
    with pytest.raises(ValueError, match="T of 2 or more"):
        _td([1], [1], [0], [1], [1])


def test_warm_rows():
    start = tf.constant([[True, False, False, False], [False, False, True, False]])
    expected = [[1, 1, 1, 1], [0, 0, 1, 1]]
    assert critic.warm_rows(start, 2).numpy().tolist() == expected
    assert critic.warm_rows(start, 0).numpy().tolist() == [[1] * 4] * 2
