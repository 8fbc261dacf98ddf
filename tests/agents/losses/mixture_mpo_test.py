"""Mixture MPO against its Gaussian special case, TFP, numbers by hand, differences."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from agents.losses import gaussian_mpo
from agents.losses import mixture_mpo as mpo
from tests.helpers import loss_gradients

tfd = tfp.distributions

BOUNDS = {"epsilon": 0.1, "epsilon_mean": 5e-3, "epsilon_stddev": 1e-4}
ETA_Y, ETA_Z = 0.2, 0.3
POLICY_TERMS = "policy_categorical", "policy_mean", "policy_stddev"


def _random_inputs(seed=0, batch=(2,), samples=4, components=3, size=2, dual=()):
    rng = np.random.default_rng(seed)
    inputs = {}
    for policy in ("online", "target", "prior"):
        shape = (*batch, components, size)
        inputs[f"{policy}_logits"] = rng.normal(size=shape[:-1])
        inputs[f"{policy}_means"] = 0.7 * rng.normal(size=shape)
        inputs[f"{policy}_stddevs"] = rng.uniform(0.3, 1.0, size=shape)
    del inputs["prior_logits"]
    return {
        **inputs,
        "actions": rng.normal(size=(samples, *batch, size)),
        "q_values": rng.normal(size=(samples, *batch)),
        "temperature": 0.7,
        "alpha_categorical": 0.9,
        "alpha_mean": rng.uniform(0.5, 2.0, size=dual),
        "alpha_stddev": rng.uniform(0.5, 2.0, size=dual),
    }


def _tensors(inputs, dtype=tf.float64):
    return {k: tf.constant(v, dtype) for k, v in inputs.items()}


def _mixture(tensors, policy):
    return mpo.Mixture(*(tensors[f"{policy}_{f}"] for f in mpo.Mixture._fields))


def _loss(tensors, **options):
    """The loss of tensors by name."""
    options = {
        **BOUNDS,
        "epsilon_categorical": 1.0,
        "categorical_prior_weight": ETA_Y,
        "prior": (tensors["prior_means"], tensors["prior_stddevs"]),
        "component_prior_weight": ETA_Z,
        **options,
    }
    names = (
        *("actions", "q_values", "temperature"),
        *("alpha_categorical", "alpha_mean", "alpha_stddev"),
    )
    return mpo.mixture_mpo(
        _mixture(tensors, "online"),
        _mixture(tensors, "target"),
        *(tensors[name] for name in names),
        **options,
    )


def _gradients(tensors, *terms):
    return loss_gradients.gradients(_loss, tensors, *terms)


@pytest.mark.parametrize("dual", [(), (3,)])
def test_one_component_is_gaussian_mpo(dual):
    inputs = _random_inputs(components=1, size=3, batch=(2, 4), dual=dual)
    tensors = _tensors(inputs)
    policy = "online_means", "online_stddevs", "target_means", "target_stddevs"
    duals = "temperature", "alpha_mean", "alpha_stddev"
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        losses, stats = gaussian_mpo.gaussian_mpo(
            *(tensors[name][..., 0, :] for name in policy),
            tensors["actions"],
            tensors["q_values"],
            *(tensors[name] for name in duals),
            prior=(
                tensors["prior_means"][..., 0, :],
                tensors["prior_stddevs"][..., 0, :],
            ),
            prior_weight=ETA_Z,
            **BOUNDS,
        )
        total = losses.total()
    expected = tape.gradient(total, tensors, unconnected_gradients="zero")
    mixture_losses, mixture_stats = _loss(tensors)
    # The multiplier of a categorical without choice has nothing to weigh.
    dual_categorical = inputs["alpha_categorical"] * 1.0
    np.testing.assert_allclose(mixture_losses.alpha_categorical, dual_categorical)
    np.testing.assert_allclose(
        mixture_losses.total() - dual_categorical, total, rtol=1e-10
    )
    for name in ("policy_mean", "policy_stddev", "trust_region_mean", "alpha_stddev"):
        np.testing.assert_allclose(
            getattr(mixture_losses, name), getattr(losses, name), rtol=1e-10
        )
    for name in {*stats._fields} & {*mixture_stats._fields}:
        np.testing.assert_allclose(
            getattr(mixture_stats, name), getattr(stats, name), rtol=1e-10
        )
    for name, gradient in _gradients(tensors).items():
        if name != "alpha_categorical":
            np.testing.assert_allclose(
                gradient, expected[name], rtol=1e-9, atol=1e-12, err_msg=name
            )


def _by_hand():
    # Two components N(0, 1) and N(2, 1). At 1 they are alike; at 1 + ln(3) / 2 the
    # second has 3 times the density of the first. Q = (0, ln 3): weights (1/4, 3/4).
    return {
        "target_logits": [[0.0, 0.0]],
        "target_means": [[[0.0], [2.0]]],
        "target_stddevs": [[[1.0], [1.0]]],
        "online_logits": [[0.0, np.log(3.0)]],
        "online_means": [[[0.0], [2.0]]],
        "online_stddevs": [[[1.0], [1.0]]],
        "prior_means": [[[0.0], [2.0]]],
        "prior_stddevs": [[[1.0], [1.0]]],
        "actions": [[[1.0]], [[1.0 + np.log(3.0) / 2]]],
        "q_values": [[0.0], [np.log(3.0)]],
        "temperature": 1.0,
        "alpha_categorical": 2.0,
        "alpha_mean": 3.0,
        "alpha_stddev": 4.0,
    }


def test_likelihood_and_categorical_by_hand():
    losses, stats = _loss(_tensors(_by_hand()))
    # Density over the target's: (1/4 + 3/4) / (1/2 + 1/2) = 1 at the first action,
    # (1/4 + 3/4 * 3) / (1/2 + 1/2 * 3) = 5/4 at the second: -3/4 ln(5/4).
    np.testing.assert_allclose(losses.policy_categorical, [-0.1673576635], rtol=1e-9)
    # The target's log density: -1/2 - c at the first action, with c = ln(2 pi) / 2, and
    # ln 2 - (1 + ln(3) / 2)^2 / 2 - c at the second.
    for term in (losses.policy_mean, losses.policy_stddev):
        np.testing.assert_allclose(term, [1.4242092211], rtol=1e-9)
    # KL((1/2, 1/2) || (1/4, 3/4)), alpha 2, bound 1
    np.testing.assert_allclose(stats.kl_categorical, [0.1438410362], rtol=1e-8)
    np.testing.assert_allclose(
        losses.trust_region_categorical, [0.2876820724], rtol=1e-8
    )
    np.testing.assert_allclose(losses.alpha_categorical, [1.7123179276], rtol=1e-8)
    # ln 2 - H(1/4), eta_y 0.2
    np.testing.assert_allclose(stats.kl_uniform, [0.1308120359], rtol=1e-8)
    np.testing.assert_allclose(losses.prior_categorical, [0.0261624072], rtol=1e-8)
    np.testing.assert_allclose(stats.entropy_online, [0.5623351446], rtol=1e-8)
    np.testing.assert_allclose(stats.entropy_target, [0.6931471806], rtol=1e-8)
    # 1 * (0.1 + ln((1 + 3) / 2)) and 1/4 ln(1/2) + 3/4 ln(3/2)
    np.testing.assert_allclose(losses.temperature, [0.7931471806], rtol=1e-9)
    np.testing.assert_allclose(stats.kl_improved, [0.1308120359], rtol=1e-8)
    for term in (losses.trust_region_mean, losses.trust_region_stddev):
        np.testing.assert_allclose(term, [0.0], atol=1e-12)
    np.testing.assert_allclose(losses.prior_components, [0.0], atol=1e-12)


def test_another_prior_of_the_weights_than_the_uniform():
    tensors = _tensors(_random_inputs())
    logits = np.random.default_rng(3).normal(size=tensors["online_logits"].shape)
    losses, _ = _loss(tensors, categorical_prior_logits=tf.constant(logits))
    p, q = (
        np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
        for x in (tensors["online_logits"].numpy(), logits)
    )
    expected = ETA_Y * (p * np.log(p / q)).sum(axis=-1)
    np.testing.assert_allclose(losses.prior_categorical, expected, rtol=1e-10)


def test_component_divergences_by_hand():
    inputs = _by_hand()
    inputs["target_logits"] = [[40.0, -40.0]]  # no weight in the sum over components
    inputs["online_means"] = [[[1.0], [4.0]]]
    inputs["online_stddevs"] = [[[2.0], [1.0]]]
    losses, stats = _loss(_tensors(inputs))
    # 1^2 / 2 + 2^2 / 2: the second counts in full. Alpha 3, one bound.
    np.testing.assert_allclose(stats.kl_mean, [2.5], rtol=1e-9)
    np.testing.assert_allclose(losses.trust_region_mean, [7.5], rtol=1e-9)
    np.testing.assert_allclose(losses.alpha_mean, [3 * (0.005 - 2.5)], rtol=1e-9)
    # KL(N(0, 1) || N(0, 2)) = ln 2 + 1/8 - 1/2, alpha 4
    np.testing.assert_allclose(stats.kl_stddev, [0.3181471806], rtol=1e-9)
    np.testing.assert_allclose(losses.trust_region_stddev, [1.2725887222], rtol=1e-9)
    np.testing.assert_allclose(losses.alpha_stddev, [-1.2721887222], rtol=1e-9)
    # KL(N(1, 2) || N(0, 1)) = 2 - ln 2 and KL(N(4, 1) || N(2, 1)) = 2, eta_z 0.3
    np.testing.assert_allclose(stats.kl_prior, [3.3068528194], rtol=1e-9)
    np.testing.assert_allclose(losses.prior_components, [0.9920558458], rtol=1e-9)


def _tfp(logits, means, stddevs):
    return tfd.MixtureSameFamily(
        tfd.Categorical(logits=logits), tfd.MultivariateNormalDiag(means, stddevs)
    )


def test_policy_terms_equal_tfps_likelihoods():
    inputs = _random_inputs(1, batch=(3, 2), components=4)
    tensors = _tensors(inputs)
    online, target = _mixture(tensors, "online"), _mixture(tensors, "target")
    losses, _ = _loss(tensors)
    exponent = inputs["q_values"] / inputs["temperature"]
    weights = np.exp(exponent) / np.exp(exponent).sum(0)

    def cross_entropy(*parameters):
        return -np.sum(weights * _tfp(*parameters).log_prob(tensors["actions"]), axis=0)

    np.testing.assert_allclose(
        losses.policy_categorical,
        cross_entropy(online.logits, target.means, target.stddevs)
        - cross_entropy(*target),
        rtol=1e-9,
    )
    np.testing.assert_allclose(
        losses.policy_mean,
        cross_entropy(target.logits, online.means, target.stddevs),
        rtol=1e-9,
    )
    np.testing.assert_allclose(
        losses.policy_stddev,
        cross_entropy(target.logits, target.means, online.stddevs),
        rtol=1e-9,
    )


def test_where_online_is_target_the_terms_add_up_to_the_mixtures_gradient():
    # What the decoupling is chosen for: no block of parameters counts twice.
    inputs = _random_inputs(2, components=4)
    blocks = [f"online_{field}" for field in mpo.Mixture._fields]
    for name in blocks:
        inputs[name] = inputs[name.replace("online", "target")]
    tensors = _tensors(inputs)
    gradients = _gradients(tensors, *POLICY_TERMS)
    weights = tf.nn.softmax(tensors["q_values"] / tensors["temperature"], axis=0)
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        mixture = _tfp(*(tensors[name] for name in blocks))
        loss = -tf.reduce_sum(weights * mixture.log_prob(tensors["actions"]))
    expected = tape.gradient(loss, tensors)
    for name in blocks:
        assert np.abs(expected[name]).max() > 1e-2
        np.testing.assert_allclose(gradients[name], expected[name], rtol=1e-9)


def test_the_means_gradient_is_weighted_by_responsibilities():
    # - sum_n w_n r_ny (a_n - mean_y) / stddev_y^2, as in EM.
    inputs = _random_inputs(3, batch=())
    gradient = _gradients(_tensors(inputs), "policy_mean")["online_means"]
    weights = np.exp(inputs["q_values"] / inputs["temperature"])
    weights /= weights.sum()
    scale = inputs["target_stddevs"]
    off = inputs["actions"][:, None] - inputs["online_means"]  # [N, K, D]
    density = np.exp(-0.5 * (off / scale) ** 2).prod(-1) / scale.prod(-1)
    density *= np.exp(inputs["target_logits"])
    responsibility = density / density.sum(-1, keepdims=True)  # [N, K]
    expected = -np.einsum("n,nk,nkd->kd", weights, responsibility, off / scale**2)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9)


def test_permuted_components_change_nothing():
    inputs = _random_inputs(4)
    order = np.array([2, 0, 1])
    permuted = dict(inputs)
    for name, value in inputs.items():
        if name.endswith("logits"):
            permuted[name] = value[..., order]
        elif name.endswith(("means", "stddevs")):
            permuted[name] = value[..., order, :]
    before, after = (_loss(_tensors(x)) for x in (inputs, permuted))
    for terms, terms_permuted in zip(before, after, strict=True):
        for name in terms._fields:
            np.testing.assert_allclose(
                getattr(terms_permuted, name), getattr(terms, name), rtol=1e-10
            )
    # A component in another's place does change the loss.
    mixed = {**inputs, "online_means": permuted["online_means"]}
    assert np.abs(_loss(_tensors(mixed))[0].total() - before[0].total()).min() > 1e-2


_REACHES = {
    "policy_categorical": {"online_logits"},
    "policy_mean": {"online_means"},
    "policy_stddev": {"online_stddevs"},
    "trust_region_categorical": {"online_logits"},
    "trust_region_mean": {"online_means"},
    "trust_region_stddev": {"online_stddevs"},
    "prior_categorical": {"online_logits"},
    "prior_components": {"online_means", "online_stddevs"},
    "temperature": {"temperature"},
    "alpha_categorical": {"alpha_categorical"},
    "alpha_mean": {"alpha_mean"},
    "alpha_stddev": {"alpha_stddev"},
}


@pytest.mark.parametrize("term", mpo.MixtureMPOLoss._fields)
def test_each_term_reaches_its_variables_only(term):
    gradients = _gradients(_tensors(_random_inputs()), term)
    assert loss_gradients.reached(gradients) == _REACHES[term]


@pytest.mark.parametrize("term", mpo.MixtureMPOLoss._fields)
def test_gradients_equal_finite_differences(term):
    inputs = _random_inputs(5, batch=(1,), samples=3, dual=(2,))
    loss_gradients.check_by_differences(
        _loss, inputs, _tensors(inputs), term, _REACHES[term]
    )


def test_stats_have_no_gradient():
    loss_gradients.check_statistics_have_none(_loss, _tensors(_random_inputs()))


def _extreme(**changes):
    return {**_random_inputs(6), **changes}


_SHAPE = (2, 3, 2)
_EXTREMES = {
    "logits": _extreme(
        online_logits=[[50.0, -50.0, 0.0], [-50.0, 50.0, -50.0]],
        target_logits=[[-50.0, 50.0, 0.0], [-50.0, 50.0, -50.0]],
    ),
    "a component far off": _extreme(
        online_means=[[[1e4, -1e4], [0.0, 0.0], [1.0, 0.0]]] * 2
    ),
    "all components far off": _extreme(
        online_means=np.full(_SHAPE, 100.0), target_means=np.full(_SHAPE, -100.0)
    ),
    "tiny stddevs": _extreme(
        online_stddevs=np.full(_SHAPE, 1e-2), target_stddevs=np.full(_SHAPE, 1e-2)
    ),
    "all at once": _extreme(
        online_logits=[[50.0, -50.0, -50.0]] * 2,
        target_logits=[[-50.0, 50.0, -50.0]] * 2,
        online_means=np.full(_SHAPE, 100.0),
        online_stddevs=np.full(_SHAPE, 1e-2),
        target_stddevs=np.full(_SHAPE, 1e-2),
        temperature=1e-3,
    ),
}


@pytest.mark.parametrize("case", _EXTREMES)
def test_extreme_inputs_stay_finite_in_float32(case):
    tensors = _tensors(_EXTREMES[case], tf.float32)
    for values in (*_loss(tensors), _gradients(tensors).values()):
        assert all(np.isfinite(value).all() for value in values)


def test_shapes_and_bad_input():
    tensors = _tensors(_random_inputs(batch=(5, 7), components=2, size=3))
    losses, stats = _loss(tensors)
    assert all(term.shape == (5, 7) for term in (*losses, *stats))
    losses, stats = _loss(tensors, prior=None, component_prior_weight=0.0)
    np.testing.assert_array_equal(losses.prior_components, np.zeros((5, 7)))
    with pytest.raises(ValueError, match=r"\[..., K, D\], got"):
        _loss({**tensors, "prior_means": tensors["prior_means"][:1]})
    with pytest.raises(ValueError, match=r"\[..., K\] and means"):
        _loss({**tensors, "target_logits": tensors["target_logits"][..., :1]})
    with pytest.raises(ValueError, match=r"\[N, ..., D\]"):
        _loss({**tensors, "q_values": tensors["q_values"][:1]})
    with pytest.raises(ValueError, match="a scalar or have one value"):
        _loss({**tensors, "alpha_mean": tf.ones([2], tf.float64)})
    with pytest.raises(ValueError, match="epsilon_categorical must be positive"):
        _loss(tensors, epsilon_categorical=0.0)
    with pytest.raises(ValueError, match="categorical_prior_weight must not be"):
        _loss(tensors, categorical_prior_weight=-1.0)
    with pytest.raises(ValueError, match="needs a prior"):
        _loss(tensors, prior=None)
