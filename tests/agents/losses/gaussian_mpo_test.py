"""Gaussian MPO against Acme's loss, numbers worked out by hand, and differences."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from acme.tf.losses import mpo as acme_mpo

from agents.losses import gaussian_mpo as mpo
from agents.losses import sampled_improvement
from tests.helpers import loss_gradients

tfd = tfp.distributions

EPSILON, EPSILON_MEAN, EPSILON_STDDEV, EPSILON_PENALTY = 0.1, 0.0025, 1e-4, 1e-3
PRIOR_WEIGHT = 0.3

# Two actions in one dimension. Target N(0, 1), online N(1, 2), Q = (0, ln 3),
# temperature 1: exp(Q) = (1, 3), so the weights are (1/4, 3/4).
_BY_HAND = {
    "online_mean": [[1.0]],
    "online_stddev": [[2.0]],
    "target_mean": [[0.0]],
    "target_stddev": [[1.0]],
    "actions": [[[-1.0]], [[1.0]]],
    "q_values": [[0.0], [np.log(3.0)]],
    "temperature": 1.0,
    "alpha_mean": 2.0,
    "alpha_stddev": 3.0,
}


def _random_inputs(seed=0, batch=(3,), samples=5, size=4, per_dimension=True):
    """Actions both in and out of bounds, stddevs on both sides of the target's."""
    rng = np.random.default_rng(seed)
    shape = (*batch, size)
    dual = (size,) if per_dimension else ()
    return {
        "online_mean": 0.5 * rng.normal(size=shape),
        "online_stddev": rng.uniform(0.3, 1.0, size=shape),
        "target_mean": 0.5 * rng.normal(size=shape),
        "target_stddev": rng.uniform(0.3, 1.0, size=shape),
        "actions": rng.normal(size=(samples, *shape)),
        "q_values": rng.normal(size=(samples, *batch)),
        "temperature": 0.7,
        "alpha_mean": rng.uniform(0.5, 2.0, size=dual),
        "alpha_stddev": rng.uniform(0.5, 2.0, size=dual),
        "penalty_temperature": 0.4,
        "prior_mean": 0.5 * rng.normal(size=shape),
        "prior_stddev": rng.uniform(0.3, 1.0, size=shape),
    }


def _tensors(inputs, dtype=tf.float64):
    return {k: tf.constant(v, dtype) for k, v in inputs.items()}


def _loss(tensors, **options):
    """The loss of tensors by name; prior and penalty where they are among them."""
    tensors = dict(tensors)
    if "prior_mean" in tensors:
        options["prior"] = tensors.pop("prior_mean"), tensors.pop("prior_stddev")
        options.setdefault("prior_weight", PRIOR_WEIGHT)
    if "penalty_temperature" in tensors:
        options.setdefault("epsilon_penalty", EPSILON_PENALTY)
    options.setdefault("epsilon", EPSILON)
    return mpo.gaussian_mpo(
        **tensors, epsilon_mean=EPSILON_MEAN, epsilon_stddev=EPSILON_STDDEV, **options
    )


@pytest.mark.parametrize("penalty", [False, True])
@pytest.mark.parametrize("per_dimension", [False, True])
def test_value_and_gradients_equal_acmes(per_dimension, penalty):
    inputs = _random_inputs(batch=(6,))
    acme_loss = acme_mpo.MPO(
        epsilon=EPSILON,
        epsilon_mean=EPSILON_MEAN,
        epsilon_stddev=EPSILON_STDDEV,
        init_log_temperature=0.3,
        init_log_alpha_mean=-0.2,
        init_log_alpha_stddev=0.8,
        per_dim_constraining=per_dimension,
        action_penalization=penalty,
        epsilon_penalty=EPSILON_PENALTY,
    )
    policy_names = "online_mean", "online_stddev", "target_mean", "target_stddev"
    tensors = _tensors({k: inputs[k] for k in (*policy_names, "actions", "q_values")})
    # Acme's is single precision only.
    tensors = {k: tf.cast(v, tf.float32) for k, v in tensors.items()}
    trained = [tensors["online_mean"], tensors["online_stddev"]]

    def acme_value():
        loss, _ = acme_loss(
            tfd.MultivariateNormalDiag(*trained),
            tfd.MultivariateNormalDiag(
                tensors["target_mean"], tensors["target_stddev"]
            ),
            tensors["actions"],
            tensors["q_values"],
        )
        return tf.reduce_sum(loss)

    acme_value()  # makes its variables
    duals = {v.name.split(":")[0].split("/")[-1]: v for v in acme_loss.variables}
    assert len(duals) == 3 + penalty
    if per_dimension:  # let the dimensions differ
        for name in ("log_alpha_mean", "log_alpha_stddev"):
            duals[name].assign_add(tf.linspace(-1.0, 1.0, 4))

    def our_value():
        values = {
            name.removeprefix("log_"): tf.nn.softplus(variable) + 1e-8
            for name, variable in duals.items()
        }
        for name in ("temperature", "penalty_temperature"):
            if name in values:
                values[name] = tf.squeeze(values[name])
        losses, _ = _loss({**tensors, **values})
        return tf.reduce_mean(losses.total())

    results = []
    for value in (acme_value, our_value):
        with tf.GradientTape() as tape:
            tape.watch(trained)
            loss = value()
        results.append((loss, tape.gradient(loss, [*trained, *duals.values()])))
    (expected, expected_gradients), (loss, gradients) = results
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert np.abs(expected_gradient).max() > 1e-4
        np.testing.assert_allclose(gradient, expected_gradient, rtol=2e-4, atol=1e-6)


def test_values_by_hand():
    prior = {"prior_mean": [[0.0]], "prior_stddev": [[1.0]]}
    losses, stats = _loss(_tensors({**_BY_HAND, **prior}))
    # With c = ln(2 pi) / 2 = 0.9189385332: under N(1, 1) the actions have -2 - c and -c
    np.testing.assert_allclose(losses.policy_mean, [1.4189385332], rtol=1e-9)
    # and under N(0, 2) both have -1/8 - ln 2 - c.
    np.testing.assert_allclose(losses.policy_stddev, [1.7370857138], rtol=1e-9)
    # (1 - 0)^2 / 2, alpha 2
    np.testing.assert_allclose(stats.kl_mean, [0.5], rtol=1e-9)
    np.testing.assert_allclose(losses.trust_region_mean, [1.0], rtol=1e-9)
    # ln 2 + 1/8 - 1/2, alpha 3
    np.testing.assert_allclose(stats.kl_stddev, [0.3181471806], rtol=1e-9)
    np.testing.assert_allclose(losses.trust_region_stddev, [0.9544415417], rtol=1e-9)
    # KL(N(1, 2) || N(0, 1)) = (4 + 1 - 1) / 2 - ln 2, weight 0.3
    np.testing.assert_allclose(stats.kl_prior, [1.3068528194], rtol=1e-9)
    np.testing.assert_allclose(losses.prior, [0.3920558458], rtol=1e-9)
    # 1 * (0.1 + ln((1 + 3) / 2))
    np.testing.assert_allclose(losses.temperature, [0.7931471806], rtol=1e-9)
    np.testing.assert_array_equal(losses.penalty_temperature, [0.0])
    # 2 * (0.0025 - 0.5) and 3 * (0.0001 - 0.3181471806)
    np.testing.assert_allclose(losses.alpha_mean, [-0.995], rtol=1e-9)
    np.testing.assert_allclose(losses.alpha_stddev, [-0.9541415417], rtol=1e-9)
    np.testing.assert_allclose(
        losses.total(),
        [1.4189385332 + 1.7370857138 + 1.0 + 0.9544415417 + 0.3920558458]
        + np.array([0.7931471806 - 0.995 - 0.9541415417]),
        rtol=1e-9,
    )
    # 1/4 ln(1/2) + 3/4 ln(3/2)
    np.testing.assert_allclose(stats.kl_improved, [0.1308120359], rtol=1e-8)
    np.testing.assert_allclose(stats.q_max, [np.log(3.0)], rtol=1e-9)


def test_temperature_and_penalty_by_hand():
    # Q / 0.5 = (0, ln 9): weights (1/10, 9/10), normaliser (1 + 9) / 2 = 5.
    values = tf.constant([[0.0], [np.log(3.0)]], tf.float64)
    half = tf.constant(0.5, tf.float64)
    improvement = sampled_improvement.improve(values, half, 0.1)
    np.testing.assert_allclose(improvement.weights, [[0.1], [0.9]], rtol=1e-9)
    np.testing.assert_allclose(
        improvement.temperature, [0.5 * (0.1 + np.log(5.0))], rtol=1e-9
    )
    # (3, -5) is (2, -4) off the box: norm sqrt(20). Inside there is none.
    np.testing.assert_allclose(
        sampled_improvement.out_of_bounds_value([[3.0, -5.0], [0.5, -1.0]]),
        [-(20.0**0.5), 0.0],
        rtol=1e-6,
    )
    # Actions (-1, 3) are (0, 2) off; at temperature 2 / ln 3 the penalty's weights are
    # (3/4, 1/4) and with those of Q, (1/4, 3/4), both actions count 1.
    inputs = {**_BY_HAND, "actions": [[[-1.0]], [[3.0]]]}
    losses, stats = _loss(_tensors({**inputs, "penalty_temperature": 2 / np.log(3.0)}))
    # Under N(1, 1) both have -2 - c.
    np.testing.assert_allclose(losses.policy_mean, [2 * 2.9189385332], rtol=1e-9)
    # 2 / ln 3 * (0.001 + ln((1 + 1/3) / 2))
    np.testing.assert_allclose(
        losses.penalty_temperature, [2 / np.log(3.0) * (0.001 + np.log(2 / 3))]
    )
    np.testing.assert_allclose(stats.kl_penalty, [0.1308120359], rtol=1e-8)


def test_a_multiplier_for_each_dimension_bounds_each():
    inputs = _random_inputs(batch=(2,), size=3)
    shared = {**inputs, "alpha_mean": 2.0}
    split = {**inputs, "alpha_mean": [2.0, 2.0, 2.0]}
    (one, stats), (each, _) = _loss(_tensors(shared)), _loss(_tensors(split))
    np.testing.assert_allclose(one.trust_region_mean, each.trust_region_mean)
    # One bound in all, or one for each of the three dimensions.
    np.testing.assert_allclose(one.alpha_mean, 2.0 * (EPSILON_MEAN - stats.kl_mean))
    np.testing.assert_allclose(
        each.alpha_mean, 2.0 * (3 * EPSILON_MEAN - stats.kl_mean)
    )


_REACHES = {
    "policy_mean": {"online_mean"},
    "policy_stddev": {"online_stddev"},
    "trust_region_mean": {"online_mean"},
    "trust_region_stddev": {"online_stddev"},
    "prior": {"online_mean", "online_stddev"},
    "temperature": {"temperature"},
    "penalty_temperature": {"penalty_temperature"},
    "alpha_mean": {"alpha_mean"},
    "alpha_stddev": {"alpha_stddev"},
}


@pytest.mark.parametrize("term", mpo.GaussianMPOLoss._fields)
def test_each_term_reaches_its_variables_only(term):
    gradients = loss_gradients.gradients(_loss, _tensors(_random_inputs()), term)
    assert loss_gradients.reached(gradients) == _REACHES[term]
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())


@pytest.mark.parametrize("term", mpo.GaussianMPOLoss._fields)
def test_gradients_equal_finite_differences(term):
    inputs = _random_inputs(1, batch=(2,), samples=3, size=2)
    loss_gradients.check_by_differences(
        _loss, inputs, _tensors(inputs), term, _REACHES[term]
    )


def test_temperature_gradient_is_the_slack_of_the_bound():
    # d dual / d eta = epsilon - KL(q || target): zero where the bound is met.
    tensors = _tensors(_random_inputs())
    _, stats = _loss(tensors)
    np.testing.assert_allclose(
        loss_gradients.gradients(_loss, tensors, "temperature")["temperature"],
        np.sum(EPSILON - stats.kl_improved),
        rtol=1e-9,
    )


def test_stats_have_no_gradient():
    loss_gradients.check_statistics_have_none(_loss, _tensors(_random_inputs()))


def test_extreme_inputs_stay_finite_in_float32():
    inputs = _random_inputs(2)
    inputs["online_stddev"] = np.full_like(inputs["online_stddev"], 1e-2)
    inputs["target_stddev"] = np.full_like(inputs["target_stddev"], 1e-2)
    inputs["actions"] = 10 * inputs["actions"]
    inputs["q_values"] = 1e3 * inputs["q_values"]
    inputs["temperature"] = 1e-2
    inputs["penalty_temperature"] = 1e-4
    tensors = _tensors(inputs, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        losses, stats = _loss(tensors)
        total = losses.total()
    gradients = tape.gradient(total, tensors, unconnected_gradients="zero")
    for values in (*losses, *stats, *gradients.values()):
        assert np.isfinite(values).all()


def test_shapes_and_bad_input():
    tensors = _tensors(_random_inputs(batch=(5, 7), size=3))
    losses, stats = _loss(tensors)
    assert all(term.shape == (5, 7) for term in (*losses, *stats))
    with pytest.raises(ValueError, match=r"\[N, ..., D\]"):
        _loss({**tensors, "actions": tensors["actions"][:, :1]})
    with pytest.raises(ValueError, match=r"\[N, ..., D\]"):
        _loss({**tensors, "prior_mean": tensors["prior_mean"][:1]})
    with pytest.raises(ValueError, match="a scalar or have one value"):
        _loss({**tensors, "alpha_mean": tensors["alpha_mean"][:1]})
    with pytest.raises(ValueError, match="epsilon must be positive"):
        _loss(tensors, epsilon=0.0)
    with pytest.raises(ValueError, match="prior_weight must not be negative"):
        _loss(tensors, prior_weight=-1.0)
    with pytest.raises(ValueError, match="go together"):
        _loss(tensors, epsilon_penalty=None)
    del tensors["prior_mean"], tensors["prior_stddev"]
    with pytest.raises(ValueError, match="needs a prior"):
        _loss(tensors, prior_weight=1.0)
