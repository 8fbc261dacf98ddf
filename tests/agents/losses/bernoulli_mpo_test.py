"""The Bernoulli's M-step against numbers by hand, categorical MPO and differences."""

import numpy as np
import pytest
import tensorflow as tf

from agents.losses import bernoulli_mpo as mpo
from agents.losses import categorical_mpo
from tests.helpers import loss_gradients

EPSILON, PRIOR_WEIGHT = 0.0025, 0.3


def _random_inputs(seed=0, batch=(3,), samples=5):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(size=(samples, *batch))
    return {
        "online_logit": rng.normal(size=batch),
        "target_logit": rng.normal(size=batch),
        "fingers": np.where(rng.random((samples, *batch)) < 0.5, 1.0, -1.0),
        "weights": weights / weights.sum(axis=0),
        "alpha": 0.8,
        "prior_logit": rng.normal(size=batch),
    }


def _tensors(inputs, dtype=tf.float64):
    return {k: tf.constant(v, dtype) for k, v in inputs.items()}


def _loss(tensors, **options):
    if "prior_logit" in tensors:
        options.setdefault("prior_weight", PRIOR_WEIGHT)
    return mpo.bernoulli_mpo(**tensors, **{"epsilon": EPSILON, **options})


def test_values_by_hand():
    # Online p(+1) = 3/4, target 1/2, prior 1/4; weights 1/10 of -1 and 9/10 of +1.
    inputs = {
        "online_logit": [np.log(3.0)],
        "target_logit": [0.0],
        "fingers": [[-1.0], [1.0]],
        "weights": [[0.1], [0.9]],
        "alpha": 2.0,
        "prior_logit": [-np.log(3.0)],
    }
    losses, stats = _loss(_tensors(inputs))
    # -(1/10 ln 1/4 + 9/10 ln 3/4)
    np.testing.assert_allclose(losses.policy_finger, [0.3975433014], rtol=1e-9)
    # 1/2 ln (1/2 / 1/4) + 1/2 ln (1/2 / 3/4) = ln 2 - 1/2 ln 3
    np.testing.assert_allclose(stats.kl_finger, [0.1438410362], rtol=1e-9)
    np.testing.assert_allclose(losses.trust_region_finger, [0.2876820724], rtol=1e-9)
    np.testing.assert_allclose(losses.alpha_finger, [2 * (0.0025 - 0.1438410362)])
    # 3/4 ln 3 - 1/4 ln 3
    np.testing.assert_allclose(stats.kl_prior_finger, [0.5493061443], rtol=1e-9)
    np.testing.assert_allclose(losses.prior_finger, [0.1647918433], rtol=1e-9)
    # -(3/4 ln 3/4 + 1/4 ln 1/4)
    np.testing.assert_allclose(stats.entropy_finger, [0.5623351446], rtol=1e-9)
    np.testing.assert_allclose(losses.total(), np.sum(list(losses), axis=0))


def test_exact_weights_give_the_loss_of_categorical_mpo():
    """Two actions, each once and with its share of q: nothing is left to sampling."""
    rng = np.random.default_rng(3)
    online, target = rng.normal(size=(2, 4, 2))
    q_values = rng.normal(size=(4, 2))
    expected, _ = categorical_mpo.categorical_mpo(
        *map(tf.constant, (online, target, q_values)),
        tf.constant(0.7, tf.float64),
        tf.constant(0.8, tf.float64),
        epsilon=0.1,
        epsilon_policy=EPSILON,
    )
    improved = np.exp(target) * np.exp(q_values / 0.7)
    improved /= improved.sum(axis=1, keepdims=True)
    inputs = {
        "online_logit": online[:, 1] - online[:, 0],
        "target_logit": target[:, 1] - target[:, 0],
        "fingers": np.tile([[-1.0], [1.0]], [1, 4]),
        "weights": improved.T,
        "alpha": 0.8,
    }
    found, _ = _loss(_tensors(inputs))
    np.testing.assert_allclose(found.policy_finger, expected.policy)
    np.testing.assert_allclose(found.trust_region_finger, expected.trust_region)
    np.testing.assert_allclose(found.alpha_finger, expected.alpha)


_REACHES = {
    "policy_finger": {"online_logit"},
    "trust_region_finger": {"online_logit"},
    "prior_finger": {"online_logit"},
    "alpha_finger": {"alpha"},
}


@pytest.mark.parametrize("term", mpo.BernoulliMPOLoss._fields)
def test_gradients_equal_finite_differences_and_reach_nothing_else(term):
    inputs = _random_inputs(1)
    tensors = _tensors(inputs)
    gradients = loss_gradients.gradients(_loss, tensors, term)
    assert loss_gradients.reached(gradients) == _REACHES[term]
    loss_gradients.check_by_differences(
        _loss, inputs, tensors, term, _REACHES[term], atol=1e-8
    )


def test_stats_have_no_gradient_and_extremes_stay_finite_in_float32():
    inputs = _random_inputs(2)
    inputs["online_logit"] *= 1e3
    inputs["target_logit"] *= -1e3
    tensors = _tensors(inputs, tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(tensors)
        losses, stats = _loss(tensors)
        total, diagnostics = losses.total(), tf.add_n(list(stats))
    assert all(g is None for g in tape.gradient(diagnostics, tensors).values())
    gradients = tape.gradient(total, tensors, unconnected_gradients="zero")
    for values in (*losses, *stats, *gradients.values()):
        assert np.isfinite(values).all()


def test_bad_input():
    tensors = _tensors(_random_inputs(batch=(5, 7)))
    assert all(term.shape == (5, 7) for parts in _loss(tensors) for term in parts)
    for name in ("fingers", "weights", "prior_logit"):
        with pytest.raises(ValueError, match=r"fingers and weights \[N, ...\]"):
            _loss({**tensors, name: tensors[name][:, :1]})
    with pytest.raises(ValueError, match="epsilon must be positive"):
        _loss(tensors, epsilon=0.0)
    with pytest.raises(ValueError, match="prior_weight must not be negative"):
        _loss(tensors, prior_weight=-1.0)
    del tensors["prior_logit"]
    with pytest.raises(ValueError, match="needs a prior"):
        _loss(tensors, prior_weight=1.0)
