"""Categorical MPO against numbers worked out by hand, and gradients by differences."""

import numpy as np
import pytest
import tensorflow as tf

from agents.losses import categorical_mpo as mpo

# Two actions. Target (1/2, 1/2), online (1/4, 3/4), Q = (0, ln 3), temperature 1:
# exp(Q) = (1, 3), so q = (1/4, 3/4) and the normaliser is (1 + 3) / 2 = 2.
_TARGET = [[0.0, 0.0]]
_ONLINE = [[0.0, np.log(3.0)]]
_Q = [[0.0, np.log(3.0)]]


def _tensors(*values):
    return [tf.constant(v, tf.float32) for v in values]


def _loss(online, target, q, temperature=1.0, alpha=2.0, prior_weight=0.5):
    online, target, q, temperature, alpha = _tensors(
        online, target, q, temperature, alpha
    )
    return mpo.categorical_mpo(
        online,
        target,
        q,
        temperature,
        alpha,
        epsilon=0.1,
        epsilon_policy=0.0025,
        prior_weight=prior_weight,
    )


def test_values_by_hand():
    losses, stats = _loss(_ONLINE, _TARGET, _Q)
    # -(1/4 ln 1/4 + 3/4 ln 3/4)
    np.testing.assert_allclose(losses.policy, [0.5623351446], rtol=1e-5)
    # KL((1/2, 1/2) || (1/4, 3/4)) = ln 2 - 1/2 ln 3 + ... = 0.1438410362, alpha 2
    np.testing.assert_allclose(stats.kl_policy, [0.1438410362], rtol=1e-5)
    np.testing.assert_allclose(losses.trust_region, [0.2876820724], rtol=1e-5)
    # KL(online || uniform) = ln 2 - 0.5623351446 = 0.1308120359, eta_y 0.5
    np.testing.assert_allclose(losses.prior, [0.0654060180], rtol=1e-5)
    # 1 * (0.1 + ln 2)
    np.testing.assert_allclose(losses.temperature, [0.7931471806], rtol=1e-5)
    # 2 * (0.0025 - 0.1438410362)
    np.testing.assert_allclose(losses.alpha, [-0.2826820724], rtol=1e-5)
    np.testing.assert_allclose(
        losses.total(),
        [0.5623351446 + 0.2876820724 + 0.0654060180 + 0.7931471806 - 0.2826820724],
        rtol=1e-5,
    )
    # q equals online here, so KL(q || target) equals KL(online || uniform)
    np.testing.assert_allclose(stats.kl_improved, [0.1308120359], rtol=1e-5)
    np.testing.assert_allclose(stats.entropy_online, [0.5623351446], rtol=1e-5)
    np.testing.assert_allclose(stats.entropy_target, [0.6931471806], rtol=1e-5)


def test_temperature_scales_the_improved_policy():
    # Q / 0.5 = (0, ln 9): q = (1/10, 9/10), normaliser (1 + 9) / 2 = 5
    log_q, log_normaliser = mpo.improved_policy(*_tensors(_Q, _TARGET, 0.5))
    np.testing.assert_allclose(np.exp(log_q), [[0.1, 0.9]], rtol=1e-5)
    np.testing.assert_allclose(log_normaliser, [np.log(5.0)], rtol=1e-5)


def test_improved_policy_starts_from_the_target():
    # Target (3/4, 1/4), exp(Q) = (1, 3): equal weights.
    log_q, _ = mpo.improved_policy(*_tensors(_Q, [[np.log(3.0), 0.0]], 1.0))
    np.testing.assert_allclose(np.exp(log_q), [[0.5, 0.5]], rtol=1e-5)


def _gradients(inputs, select, **kwargs):
    """Gradients of one term with respect to logits, target, Q, temperature, alpha."""
    variables = _tensors(*inputs)
    with tf.GradientTape() as tape:
        tape.watch(variables)
        losses, _ = mpo.categorical_mpo(
            *variables, epsilon=0.1, epsilon_policy=0.0025, prior_weight=0.5, **kwargs
        )
        loss = tf.reduce_sum(select(losses))
    gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    return [g.numpy() for g in gradients]


_INPUTS = (_ONLINE, [[0.0, 1.0]], [[0.3, -0.7]], 0.8, 2.0)


def _softmax(x):
    e = np.exp(np.asarray(x) - np.max(x))
    return e / e.sum()


def test_cross_entropy_gradient_is_online_minus_improved():
    grads = _gradients(_INPUTS, lambda losses: losses.policy)
    improved = _softmax(np.log(_softmax([0.0, 1.0])) + np.array([0.3, -0.7]) / 0.8)
    np.testing.assert_allclose(grads[0][0], [0.25, 0.75] - improved, atol=1e-6)
    for g in grads[1:]:
        np.testing.assert_array_equal(g, np.zeros_like(g))


def test_trust_region_gradient_is_alpha_times_online_minus_target():
    grads = _gradients(_INPUTS, lambda losses: losses.trust_region)
    expected = 2.0 * (np.array([0.25, 0.75]) - _softmax([0.0, 1.0]))
    np.testing.assert_allclose(grads[0][0], expected, atol=1e-6)
    for g in grads[1:]:
        np.testing.assert_array_equal(g, np.zeros_like(g))


def test_prior_gradient():
    # d KL(p || u) / d logit_i = p_i (log p_i - sum_j p_j log p_j)
    grads = _gradients(_INPUTS, lambda losses: losses.prior)
    p = np.array([0.25, 0.75])
    expected = 0.5 * p * (np.log(p) - np.sum(p * np.log(p)))
    np.testing.assert_allclose(grads[0][0], expected, atol=1e-6)
    for g in grads[1:]:
        np.testing.assert_array_equal(g, np.zeros_like(g))


def test_another_prior_than_the_uniform():
    """KL((1/4, 3/4) || (4/5, 1/5)) = 1/4 ln 5/16 + 3/4 ln 15/4, eta_y 0.5."""
    losses, stats = mpo.categorical_mpo(
        *_tensors(_ONLINE, _TARGET, _Q, 1.0, 2.0),
        epsilon=0.1,
        epsilon_policy=0.0025,
        prior_weight=0.5,
        prior_logits=tf.constant([[np.log(4.0), 0.0]], tf.float32),
    )
    expected = 0.25 * np.log(5 / 16) + 0.75 * np.log(15 / 4)
    np.testing.assert_allclose(losses.prior, [0.5 * expected], rtol=1e-5)
    np.testing.assert_allclose(stats.kl_uniform, [0.1308120359], rtol=1e-5)


def test_temperature_loss_reaches_the_temperature_only():
    grads = _gradients(_INPUTS, lambda losses: losses.temperature)
    for g in grads[:3] + grads[4:]:
        np.testing.assert_array_equal(g, np.zeros_like(g))

    def dual(eta):
        log_target = np.log(_softmax([0.0, 1.0]))
        z = np.exp(log_target + np.array([0.3, -0.7]) / eta).sum()
        return eta * (0.1 + np.log(z))

    difference = (dual(0.8 + 1e-5) - dual(0.8 - 1e-5)) / 2e-5
    np.testing.assert_allclose(grads[3], difference, rtol=1e-4)
    # At its optimum the bound is met: d dual / d eta = epsilon - KL(q || target).
    _, stats = _loss(*_INPUTS)
    np.testing.assert_allclose(grads[3], 0.1 - stats.kl_improved[0], rtol=1e-4)


def test_alpha_loss_reaches_alpha_only():
    grads = _gradients(_INPUTS, lambda losses: losses.alpha)
    for g in grads[:4]:
        np.testing.assert_array_equal(g, np.zeros_like(g))
    _, stats = _loss(*_INPUTS)
    np.testing.assert_allclose(grads[4], 0.0025 - stats.kl_policy[0], rtol=1e-5)


def test_policy_gradient_against_finite_differences():
    rng = np.random.default_rng(0)
    online, target, q = rng.normal(size=(3, 2, 3, 4)).astype(np.float32)

    def policy_terms(losses):
        return losses.policy + losses.trust_region + losses.prior

    grad = _gradients((online, target, q, 0.7, 1.5), policy_terms)[0]
    step = 1e-2
    for index in [(0, 0, 0), (1, 2, 3), (0, 1, 2)]:
        values = []
        for sign in (1, -1):
            shifted = online.astype(np.float64).copy()
            shifted[index] += sign * step
            losses, _ = _loss(shifted, target, q, 0.7, 1.5)
            values.append(float(tf.reduce_sum(policy_terms(losses))))
        difference = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose(grad[index], difference, atol=2e-3)


def test_large_values_stay_finite():
    losses, _ = _loss([[0.0, 80.0]], [[-80.0, 0.0]], [[100.0, -100.0]], 1e-2)
    assert all(np.isfinite(term).all() for term in losses)


def test_shapes_and_bad_input():
    losses, stats = _loss(np.zeros((5, 7, 3)), np.zeros((5, 7, 3)), np.zeros((5, 7, 3)))
    assert all(term.shape == (5, 7) for term in (*losses, *stats))
    with pytest.raises(ValueError, match="one shape"):
        _loss(np.zeros((5, 3)), np.zeros((5, 3)), np.zeros((5, 4)))
    with pytest.raises(ValueError, match="must be positive"):
        _loss(_ONLINE, _TARGET, _Q, prior_weight=-1.0)
