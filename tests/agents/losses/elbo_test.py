"""Tests of the HeLMS bound against enumeration, finite differences and TFP."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from agents.distributions import gaussian
from agents.losses import elbo
from tests.helpers import differences

tfd = tfp.distributions

B, T, K = 2, 3, 3
BETA_Y, BETA_Z = 0.7, 0.3


def _inputs(seed=0, batch=B, time=T, skills=K):
    rng = np.random.default_rng(seed)
    return {
        "log_likelihood": rng.normal(size=(batch, time, skills)),
        "latent_kl": rng.uniform(0, 3, size=(batch, time, skills)),
        "posterior_logits": 2 * rng.normal(size=(batch, time, skills, skills)),
        "prior_logits": 2 * rng.normal(size=(skills, skills)),
        "mask": np.ones((batch, time)),
    }


def _bound(inputs, **kwargs):
    tensors = {k: tf.constant(v, tf.float64) for k, v in inputs.items()}
    return elbo.helms_elbo(**tensors, beta_y=BETA_Y, beta_z=BETA_Z, **kwargs)


def _softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _enumerate(inputs, row):
    """E_q over every (y_0, ..., y_T) of the joint's terms (first line of Eq. 3).

    Returns it with the marginals and the expected number of switches after step 1.
    """
    q = _softmax(inputs["posterior_logits"][row])
    p = _softmax(inputs["prior_logits"])
    length = int(inputs["mask"][row].sum())
    total, switches, marginals = 0.0, 0.0, np.zeros((length, p.shape[0]))
    for ys in itertools.product(range(p.shape[0]), repeat=length + 1):
        weight, value = 1.0 / p.shape[0], 0.0
        for t in range(length):
            before, now = ys[t], ys[t + 1]
            weight *= q[t, before, now]
            value += inputs["log_likelihood"][row, t, now]
            value -= BETA_Z * inputs["latent_kl"][row, t, now]
            # Not the closed-form KL but its integrand at this one sequence.
            value -= BETA_Y * np.log(q[t, before, now] / p[before, now])
        total += weight * value
        for t in range(length):
            marginals[t, ys[t + 1]] += weight
            switches += weight * (t > 0 and ys[t] != ys[t + 1])
    return total, marginals, switches


def test_bound_marginals_and_switches_equal_enumeration_over_all_sequences():
    inputs = _inputs()
    bound, stats = _bound(inputs)
    for row in range(B):
        expected, marginals, switches = _enumerate(inputs, row)
        np.testing.assert_allclose(bound[row], expected, rtol=1e-10)
        np.testing.assert_allclose(stats.marginals[row], marginals, rtol=1e-10)
        np.testing.assert_allclose(stats.switches[row], switches, rtol=1e-10)


def test_enumeration_with_a_masked_suffix():
    inputs = _inputs(1)
    inputs["mask"][0, 2:] = 0
    bound, stats = _bound(inputs)
    expected, _, switches = _enumerate(inputs, 0)
    np.testing.assert_allclose(bound[0], expected, rtol=1e-10)
    np.testing.assert_allclose(stats.switches[0], switches, rtol=1e-10)


def test_literal_two_skills_one_step():
    # q(y_1) = 1/2 [.9 .1] + 1/2 [.5 .5] = [.7 .3]; p uniform.
    inputs = {
        "log_likelihood": [[[1.0, -1.0]]],
        "latent_kl": [[[2.0, 4.0]]],
        "posterior_logits": np.log([[[[0.9, 0.1], [0.5, 0.5]]]]),
        "prior_logits": np.zeros((2, 2)),
        "mask": [[1.0]],
    }
    bound, stats = _bound(inputs)
    np.testing.assert_allclose(stats.marginals, [[[0.7, 0.3]]], rtol=1e-12)
    np.testing.assert_allclose(stats.log_likelihood, [0.4], rtol=1e-12)
    np.testing.assert_allclose(stats.latent_kl, [2.6], rtol=1e-12)
    # 0.5 (log 2 - H(0.9)) = 0.5 (0.693147 - 0.325083)
    np.testing.assert_allclose(stats.categorical_kl, [0.184032], atol=1e-6)
    np.testing.assert_allclose(bound, [0.4 - 0.3 * 2.6 - 0.7 * 0.184032], atol=1e-6)


@pytest.mark.parametrize(
    "name", ["log_likelihood", "latent_kl", "posterior_logits", "prior_logits"]
)
def test_gradients_equal_finite_differences(name):
    inputs = _inputs(2)
    inputs["mask"][1, 1:] = 0
    tensors = {k: tf.constant(v, tf.float64) for k, v in inputs.items()}
    weights = np.array([1.0, -0.5])
    with tf.GradientTape() as tape:
        tape.watch(tensors[name])
        bound, _ = elbo.helms_elbo(**tensors, beta_y=BETA_Y, beta_z=BETA_Z)
        loss = tf.reduce_sum(weights * bound)
    gradient = tape.gradient(loss, tensors[name]).numpy()

    def of_moved(moved):
        return np.sum(weights * _bound({**inputs, name: moved})[0].numpy())

    numeric = differences.central(of_moved, inputs[name], step=1e-6)
    np.testing.assert_allclose(gradient, numeric, atol=1e-8)
    assert np.abs(gradient).max() > 1e-3


@pytest.mark.parametrize("junk", [1e6, np.nan, np.inf])
def test_masked_steps_change_neither_value_nor_gradient(junk):
    inputs = _inputs(3, time=4)
    inputs["mask"][:, 2:] = 0
    names = ("log_likelihood", "latent_kl", "posterior_logits", "prior_logits")

    def value_and_gradients(inputs):
        tensors = {k: tf.constant(v, tf.float64) for k, v in inputs.items()}
        with tf.GradientTape() as tape:
            tape.watch([tensors[n] for n in names])
            bound, stats = elbo.helms_elbo(**tensors)
            value = bound - 0.5 * stats.switches
        return value, tape.gradient(value, [tensors[n] for n in names])

    before, gradients_before = value_and_gradients(inputs)
    for name in names[:3]:
        inputs[name][:, 2:] = junk
    after, gradients_after = value_and_gradients(inputs)
    np.testing.assert_array_equal(before, after)
    for first, second in zip(gradients_before, gradients_after, strict=True):
        np.testing.assert_array_equal(first, second)
    for gradient in gradients_after[:3]:
        np.testing.assert_array_equal(gradient[:, 2:], np.zeros_like(gradient[:, 2:]))


def test_a_mask_of_zeros_gives_zero():
    inputs = _inputs(4)
    inputs["mask"][:] = 0
    np.testing.assert_array_equal(_bound(inputs)[0], np.zeros(B))


def test_kl_parts_are_not_negative_and_vanish_at_the_prior():
    inputs = _inputs(5, batch=20)
    assert (_bound(inputs)[1].categorical_kl.numpy() > 0).all()
    inputs["posterior_logits"] = np.broadcast_to(
        inputs["prior_logits"] + 3.0, inputs["posterior_logits"].shape
    )
    kl = _bound(inputs)[1].categorical_kl
    np.testing.assert_allclose(kl, np.zeros(20), atol=1e-12)


def test_uniform_posterior_has_the_closed_form():
    inputs = _inputs(6)
    inputs["posterior_logits"][:] = 5.0
    inputs["prior_logits"][:] = -1.0
    bound, stats = _bound(inputs)
    mean = (inputs["log_likelihood"] - BETA_Z * inputs["latent_kl"]).mean(-1).sum(-1)
    np.testing.assert_allclose(bound, mean, rtol=1e-12)
    np.testing.assert_allclose(stats.marginals, np.full((B, T, K), 1 / K), rtol=1e-12)


def test_permuted_skills_permute_the_marginals_and_keep_the_bound():
    inputs = _inputs(7)
    order = np.array([2, 0, 1])
    permuted = {
        "log_likelihood": inputs["log_likelihood"][..., order],
        "latent_kl": inputs["latent_kl"][..., order],
        "posterior_logits": inputs["posterior_logits"][..., order, :][..., order],
        "prior_logits": inputs["prior_logits"][order][:, order],
        "mask": inputs["mask"],
    }
    bound, stats = _bound(inputs)
    bound_p, stats_p = _bound(permuted)
    np.testing.assert_allclose(bound_p, bound, rtol=1e-12)
    np.testing.assert_allclose(
        stats_p.marginals, stats.marginals.numpy()[..., order], rtol=1e-12
    )


def test_extreme_logits_stay_finite_in_float32():
    inputs = _inputs(8)
    inputs["posterior_logits"] *= 1e4
    tensors = {k: tf.constant(v, tf.float32) for k, v in inputs.items()}
    with tf.GradientTape() as tape:
        tape.watch(tensors["posterior_logits"])
        bound, stats = elbo.helms_elbo(**tensors)
    gradient = tape.gradient(bound, tensors["posterior_logits"])
    assert np.isfinite(bound).all() and np.isfinite(gradient).all()
    np.testing.assert_allclose(tf.reduce_sum(stats.marginals, -1), 1.0, rtol=1e-5)


def test_one_skill_has_no_categorical_term():
    inputs = _inputs(9, skills=1)
    bound, stats = _bound(inputs)
    np.testing.assert_array_equal(stats.categorical_kl, np.zeros(B))
    expected = (inputs["log_likelihood"] - BETA_Z * inputs["latent_kl"]).sum((1, 2))
    np.testing.assert_allclose(bound, expected, rtol=1e-12)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\[B, T, K, K\]"):
        elbo.skill_marginals(tf.zeros([2, 3, 4, 5]))

    @tf.function(input_signature=[tf.TensorSpec([None, None, 2, 2])])
    def unknown_time(transitions):
        return elbo.skill_marginals(transitions)

    with pytest.raises(ValueError, match="static"):
        unknown_time(tf.zeros([1, 2, 2, 2]))


def test_bound_is_the_likelihood_at_the_true_posterior_and_lower_elsewhere():
    # a = w z + noise of deviation s: p(a) and p(z | a) are known. Here neither p(z) nor
    # p(a | z) knows of y, so the posterior of y is its prior.
    w, s = 0.8, 0.1
    inputs = _inputs(11)
    action = np.random.default_rng(12).normal(scale=0.5, size=(B, T, 1, 1))
    variance = s**2 / (w**2 + s**2)
    mean = action * variance * w / s**2

    def bound(mean, stddev, posterior_logits):
        log_prob = gaussian.log_prob(tf.constant(action), w * mean, s)
        log_likelihood = log_prob - tf.squeeze((w * stddev / s) ** 2 / 2, -1)
        kl = tf.reduce_sum(gaussian.kl_to_standard(mean, stddev), -1)
        return elbo.helms_elbo(
            log_likelihood + tf.zeros([B, T, K], tf.float64),
            kl + tf.zeros([B, T, K], tf.float64),
            tf.constant(posterior_logits),
            tf.constant(inputs["prior_logits"]),
            tf.constant(inputs["mask"]),
            beta_y=1.0,
            beta_z=1.0,
        )[0]

    mean = tf.constant(mean)
    stddev = tf.fill([B, T, 1, 1], tf.constant(np.sqrt(variance)))
    prior = np.broadcast_to(inputs["prior_logits"], [B, T, K, K])
    marginal = tfd.Normal(tf.constant(0.0, tf.float64), np.hypot(w, s))
    expected = tf.reduce_sum(marginal.log_prob(action), axis=[1, 2, 3])
    np.testing.assert_allclose(bound(mean, stddev, prior), expected, rtol=1e-9)
    for worse in (
        bound(mean + 0.05, stddev, prior),
        bound(mean, 1.1 * stddev, prior),
        bound(mean, 0.9 * stddev, prior),
        bound(mean, stddev, inputs["posterior_logits"]),
    ):
        assert (worse.numpy() < expected.numpy() - 1e-4).all()
