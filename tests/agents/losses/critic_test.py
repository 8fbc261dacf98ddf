"""TD on sequences with literal numbers: bootstrap, termination, padding."""

import numpy as np
import pytest
import tensorflow as tf

from agents.losses import critic


def _td(value, next_value, reward, discount, valid, gamma=0.5):
    tensors = [
        tf.constant([v], tf.float32)
        for v in (value, next_value, reward, discount, valid)
    ]
    return critic.n_step_td(*tensors, gamma=gamma)


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
        td = critic.n_step_td(
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


@pytest.mark.parametrize("n_step", [1, 2, 3, 5, 9])
def test_returns_of_n_steps_by_a_loop(n_step):
    rng = np.random.default_rng(n_step)
    num_rows, gamma = 10, 0.9
    # Whole; a time limit; a termination; one transition; terminates on its last row.
    lengths, terminates = [10, 7, 6, 1, 10], [False, False, True, False, True]
    shape = (len(lengths), num_rows)
    reward, next_value = rng.normal(size=(2, *shape))
    discount = rng.uniform(0.5, 1.0, size=shape)
    valid = (np.arange(num_rows) < np.array(lengths)[:, None]).astype(float)
    for row, (length, ends) in enumerate(zip(lengths, terminates, strict=True)):
        if ends:
            discount[row, length - 1] = 0.0
        # No target may read these: rows without a transition, values of padding.
        reward[row, length:] = discount[row, length:] = np.nan
        next_value[row, length + 1 :] = np.nan
    td = critic.n_step_td(
        *(tf.constant(x) for x in (np.zeros(shape), next_value, reward)),
        *(tf.constant(x) for x in (discount, valid)),
        gamma=gamma,
        n_step=n_step,
    )
    checked = 0
    for row, length in enumerate(lengths):
        for t in range(min(length, num_rows - 1)):
            expected, weight, end = 0.0, 1.0, min(t + n_step, length, num_rows - 1)
            for step in range(t, end):
                expected += weight * reward[row, step]
                weight *= gamma * discount[row, step]
            if weight:
                expected += weight * next_value[row, end]
            np.testing.assert_allclose(td.target[row, t], expected, rtol=1e-12)
            checked += 1
    assert checked == 9 + 7 + 6 + 1 + 9


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
    with pytest.raises(ValueError, match="n_step must be positive, got 0"):
        critic.n_step_td(*[tf.zeros([1, 2])] * 5, gamma=0.5, n_step=0)


def test_warm_rows():
    start = tf.constant([[True, False, False, False], [False, False, True, False]])
    expected = [[1, 1, 1, 1], [0, 0, 1, 1]]
    assert critic.warm_rows(start, 2).numpy().tolist() == expected
    assert critic.warm_rows(start, 0).numpy().tolist() == [[1] * 4] * 2
