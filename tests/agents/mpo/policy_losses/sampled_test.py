"""The loss of a hybrid policy: one E-step, and each part's own M-step."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from agents.distributions.policies import Gaussian, Hybrid
from agents.mpo.config import ActionMPOConfig
from agents.mpo.policy_losses.sampled import GaussianPolicyLoss, HybridPolicyLoss
from tests.helpers import differences

CONFIG = ActionMPOConfig(finger="bernoulli", init_log_temperature=0.3)


def _policy(seed, rows=4, size=3):
    """A hybrid as arrays: mean, stddev [R, D - 1] and logit [R]."""
    rng = np.random.default_rng(seed)
    shape = (rows, size - 1)
    parts = rng.normal(size=shape), rng.uniform(0.3, 1, shape), rng.normal(size=rows)
    return [part.astype(np.float32) for part in parts]


def _hybrid(mean, stddev, logit):
    mean, stddev, logit = (tf.cast(x, tf.float32) for x in (mean, stddev, logit))
    return Hybrid(Gaussian(mean, stddev), logit)


def _inputs():
    target = _hybrid(*_policy(1))
    actions = target.sample(20, tf.constant([0, 1]))
    values = np.random.default_rng(2).normal(size=(20, 4)).astype(np.float32)
    return target, actions, tf.constant(values)


def _softplus(x):
    return np.logaddexp(0.0, x) + 1e-8


@pytest.mark.parametrize("penalty", [False, True])
def test_the_policys_terms_are_the_weighted_likelihood_of_whole_actions(penalty):
    """By scipy: a sum over draws, of either part of the decoupled Gaussian."""
    config = ActionMPOConfig(
        finger="bernoulli", init_log_temperature=0.3, action_penalization=penalty
    )
    target, actions, values = _inputs()
    mean, stddev, logit = _policy(3)
    _, found = HybridPolicyLoss(config, 3)(
        _hybrid(mean, stddev, logit), target, actions, values
    )
    of_finger = weights = scipy.special.softmax(values / _softplus(0.3), axis=0)
    x, finger = actions[..., :2].numpy(), actions[..., 2].numpy()
    if penalty:
        cost = np.linalg.norm(x - np.clip(x, -1, 1), axis=-1)
        assert cost.max() > 0.1
        weights = weights + scipy.special.softmax(-cost / _softplus(0.3), axis=0)
    up = scipy.special.expit(logit)
    expected = {
        "loss_policy_mean": scipy.stats.norm.logpdf(x, mean, target.gaussian.stddev),
        "loss_policy_stddev": scipy.stats.norm.logpdf(x, target.gaussian.mean, stddev),
        "loss_policy_finger": np.log(np.where(finger > 0, up, 1 - up))[..., None],
    }
    for name, log_prob in expected.items():
        of_part = of_finger if name == "loss_policy_finger" else weights
        by_hand = -np.sum(of_part * log_prob.sum(axis=-1), axis=0)
        np.testing.assert_allclose(found[name], by_hand, rtol=1e-4)


def test_the_total_is_the_sum_of_all_terms_with_a_prior():
    target, actions, values = _inputs()
    loss = HybridPolicyLoss(CONFIG, 3, prior_weight=0.7)
    prior = _hybrid(*_policy(5))
    total, found = loss(_hybrid(*_policy(3)), target, actions, values, prior)
    parts = [value for name, value in found.items() if name.startswith("loss_")]
    assert len(parts) == 9 + 4
    np.testing.assert_allclose(total, np.sum(parts, axis=0), rtol=1e-5)
    up, prior_up = (scipy.special.expit(_policy(seed)[2]) for seed in (3, 5))
    kl = scipy.special.rel_entr(up, prior_up)
    kl += scipy.special.rel_entr(1 - up, 1 - prior_up)
    np.testing.assert_allclose(found["loss_prior_finger"], 0.7 * kl, rtol=1e-4)


def test_the_gradient_of_the_m_step_equals_finite_differences():
    target, actions, values = _inputs()
    loss = HybridPolicyLoss(
        ActionMPOConfig(
            finger="bernoulli",
            init_log_temperature=0.3,
            init_log_alpha_mean=0.5,
            init_log_alpha_stddev=0.7,
            init_log_alpha_finger=0.2,
        ),
        3,
        prior_weight=0.7,
    )
    prior, parts = _hybrid(*_policy(5)), _policy(3)

    tensors = [tf.constant(part) for part in parts]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total, _ = loss(_hybrid(*tensors), target, actions, values, prior)
    gradients = tape.gradient(total, tensors)
    for i, gradient in enumerate(gradients):

        def of_policy(moved, i=i):
            """Without the duals' terms, which hold the policy constant."""
            policy = _hybrid(*parts[:i], moved, *parts[i + 1 :])
            _, found = loss(policy, target, actions, values, prior)
            terms = ("loss_policy", "loss_trust_region", "loss_prior")
            return sum(np.sum(v) for k, v in found.items() if k.startswith(terms))

        numeric = differences.central(of_policy, parts[i], step=3e-3)  # of float32
        np.testing.assert_allclose(gradient, numeric, rtol=0.01, atol=0.05)


def test_the_fingers_multiplier_is_its_own():
    target, actions, values = _inputs()
    loss = HybridPolicyLoss(CONFIG, 3)
    online = target._replace(logit=target.logit + 2.0)  # far beyond the bound
    with tf.GradientTape() as tape:
        total, _ = loss(online, target, actions, values)
        total = tf.reduce_sum(total)
    duals = loss.trainable_variables
    found = dict(zip([v.name for v in duals], tape.gradient(total, duals), strict=True))
    assert len(found) == 5
    assert found["log_alpha_finger:0"] < 0  # descent raises it
    assert (found["log_alpha_mean:0"].numpy() > 0).all()
    assert found["log_alpha_mean:0"].shape == (2,)
    assert "alpha_finger" in loss.dual_values()
    assert "alpha_finger" not in GaussianPolicyLoss(CONFIG, 3).dual_values()


def test_m_steps_by_gradient_reach_the_improved_share_of_the_finger():
    """With no trust region the Bernoulli becomes q's share of +1 among the draws."""
    target, actions, values = _inputs()
    loss = HybridPolicyLoss(
        ActionMPOConfig(
            finger="bernoulli",
            init_log_temperature=0.3,
            action_penalization=False,
            init_log_alpha_finger=-17.0,
        ),
        3,
    )
    logit = tf.Variable(target.logit)
    for _ in range(300):
        with tf.GradientTape() as tape:
            online = target._replace(logit=tf.identity(logit))
            total, _ = loss(online, target, actions, values)
        logit.assign_sub(2.0 * tape.gradient(total, logit))
    weights = scipy.special.softmax(values / _softplus(0.3), axis=0)
    share = np.sum(weights * (actions[..., 2].numpy() > 0), axis=0)
    np.testing.assert_allclose(tf.sigmoid(logit), share, atol=1e-3)
