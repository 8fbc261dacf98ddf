"""Properties of HeLMS and its ablations as they are trained."""

import dataclasses
import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from agents.helms.config import HelmsConfig
from agents.offline.learning import OfflineLearner
from tests.helpers.offline_models import (
    CONFIGS,
    make_model,
    trained_on_window,
    two_modes,
)

tfd = tfp.distributions

CONFIG = CONFIGS["helms"]
SEED = tf.constant([3, 4])


def _learner(config):
    batches = (two_modes(1000 + i, config) for i in itertools.count())
    return OfflineLearner(make_model(config), lambda _: batches)


def test_learning_raises_the_bound_and_uses_both_skills():
    learner = _learner(CONFIG)
    held_out = [two_modes(seed, CONFIG) for seed in range(3)]
    before = learner.evaluate(held_out)
    np.testing.assert_allclose(before["use_entropy"], np.log(2), atol=0.05)
    for _ in range(400):
        learner.step()
    after = learner.evaluate(held_out)
    assert after["elbo"] > before["elbo"] + 5.0
    assert after["action_mse"] < 0.05 < before["action_mse"]
    # The modes are equally long, and the skills must be the modes: nothing but the
    # high level sees which it is.
    assert max(after["skill_use"]) < 0.7
    np.testing.assert_allclose(sum(after["skill_use"]), 1.0, rtol=1e-5)
    assert after["step_entropy"] < 0.2
    assert after["prior_stay"] > 0.6  # the modes are sticky
    assert 0 <= after["active_latents"] <= 2


def test_balance_adds_the_entropy_of_the_mean_use_to_the_training_objective_alone():
    batch = dict(two_modes(0, CONFIG))
    # A window that ends early: its later steps are no use of any skill.
    batch["mask"] = batch["mask"] * tf.sequence_mask(
        [1] + [CONFIG.window] * (len(batch["mask"]) - 1), CONFIG.window, tf.float32
    )
    plain = make_model(CONFIG)
    balanced = make_model(dataclasses.replace(CONFIG, balance=0.7))
    use = np.array(
        plain.terms(batch, SEED, evaluation=True).sums["skill_use"]
    ) / np.sum(batch["mask"])
    entropy = -np.sum(use * np.log(use))
    difference = (
        balanced.terms(batch, SEED).objective - plain.terms(batch, SEED).objective
    )
    expected = 0.7 * entropy * np.sum(batch["mask"], axis=1)
    np.testing.assert_allclose(difference, expected, rtol=1e-3)
    np.testing.assert_array_equal(
        balanced.terms(batch, SEED, evaluation=True).objective,
        plain.terms(batch, SEED, evaluation=True).objective,
    )


def test_a_switch_costs_the_training_objective_alone():
    batch = two_modes(0, CONFIG)
    plain = make_model(CONFIG)
    sticky = make_model(dataclasses.replace(CONFIG, switch_cost=0.7))
    nets = plain.networks
    proprio, objects = nets.normalize(batch["proprio"], batch["objects"])
    transitions = tf.nn.softmax(nets.posterior_logits(proprio, objects)).numpy()
    expected = []
    for b in range(CONFIG.batch_size):
        use, switches = np.full(2, 0.5) @ transitions[b, 0], 0.0
        for t in range(1, int(batch["mask"][b].sum())):
            switches += (
                use[0] * transitions[b, t, 0, 1] + use[1] * transitions[b, t, 1, 0]
            )
            use = use @ transitions[b, t]
        expected.append(0.7 * switches)
    for evaluation, cost in ((False, expected), (True, np.zeros(CONFIG.batch_size))):
        difference = (
            plain.terms(batch, SEED, evaluation=evaluation).objective
            - sticky.terms(batch, SEED, evaluation=evaluation).objective
        )
        np.testing.assert_allclose(difference, cost, rtol=1e-3, atol=1e-6)


def test_a_bernoulli_finger_is_weighed_by_the_marginals_of_the_skills():
    """By hand loops over steps and skills; latents without variance need no draw."""
    config = dataclasses.replace(CONFIG, variant="discrete", finger="bernoulli")
    model, batch = make_model(config), two_modes(0, config)
    nets = model.networks
    proprio, objects = nets.normalize(batch["proprio"], batch["objects"])
    transitions = tf.nn.softmax(nets.posterior_logits(proprio, objects)).numpy()
    steps = config.window
    latent, _ = nets.latent(proprio[:, :steps], objects[:, :steps])
    mean = nets.low_level(latent, proprio[:, :steps, None]).numpy()  # [B, T, K, 2]
    expected = 0.0
    for b in range(config.batch_size):
        use = np.full(2, 0.5)
        for t in range(int(batch["mask"][b].sum())):
            use = use @ transitions[b, t]
            x, finger = batch["action"][b, t]
            for k in range(2):
                log_prob = scipy.stats.norm.logpdf(x, mean[b, t, k, 0], 0.1)
                up = (1 + mean[b, t, k, 1]) / 2
                expected += use[k] * (log_prob + np.log(up if finger > 0 else 1 - up))
    found = model.terms(batch, SEED).sums["log_likelihood"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_continuous_only_trains_as_a_single_gaussian():
    config = dataclasses.replace(CONFIG, variant="continuous", num_skills=1)
    learner = _learner(config)
    means = learner.step()
    assert means["categorical_kl"] == 0.0
    assert means["latent_kl"] > 0.0
    evaluation = learner.evaluate([two_modes(0, config)])
    assert evaluation["skill_use"] == [1.0]
    assert evaluation["prior_stay"] == 1.0
    with pytest.raises(ValueError, match="num_skills must be 1, got 2"):
        dataclasses.replace(CONFIG, variant="continuous")
    with pytest.raises(ValueError, match="unknown variant 'none'; valid: full, disc"):
        dataclasses.replace(CONFIG, variant="none")


def test_discrete_only_has_no_noise_and_no_latent_kl():
    config = dataclasses.replace(CONFIG, variant="discrete")
    model, batch = make_model(config), two_modes(0, config)
    first, second = (model.terms(batch, tf.constant([0, i])) for i in range(2))
    np.testing.assert_array_equal(first.objective, second.objective)
    sums = model.terms(batch, SEED, evaluation=True).sums
    assert not [key for key in sums if key.startswith("latent_kl")]
    expected = sums["log_likelihood"] - sums["categorical_kl"]
    np.testing.assert_allclose(tf.reduce_sum(first.objective), expected, rtol=1e-5)
    # The likelihood is that of the means: the one of the full model whose deviations
    # are next to nothing.
    narrow = dataclasses.replace(CONFIG, beta_z=0.0, min_stddev=1e-7, max_stddev=2e-7)
    full = make_model(narrow).terms(batch, SEED)
    np.testing.assert_allclose(first.objective, full.objective, rtol=1e-4)
    learner = _learner(config)
    before = learner.evaluate([batch])
    for _ in range(150):
        learner.step()
    after = learner.evaluate([batch])
    assert after["elbo"] > before["elbo"] + 5.0
    assert "active_latents" not in after


def test_permuting_the_skills_permutes_everything():
    # Deviations next to nothing: the draws are those of other skills afterwards.
    config = HelmsConfig(
        num_skills=3,
        latent_dim=2,
        look_ahead=1,
        hidden_sizes=(5,),
        window=6,
        batch_size=4,
        min_stddev=1e-6,
        max_stddev=2e-6,
        initial_stay_probability=0.5,
    )
    model, batch = make_model(config), two_modes(0, config)
    nets, rng = model.networks, np.random.default_rng(0)
    for variable in nets.trainable_variables:
        variable.assign_add(0.5 * rng.normal(size=variable.shape))
    before = model.terms(batch, SEED, evaluation=True)
    order = np.array([2, 0, 1])
    nets.prior_logits.assign(nets.prior_logits.numpy()[order][:, order])
    for variable in nets.mid_level.trainable_variables:
        variable.assign(variable.numpy()[order])
    for variable in nets.high_level.trainable_variables:
        value = variable.numpy()
        if value.size % 9 == 0:  # the heads: [.., y_{t-1}, y_t]; the torso has 5 units
            heads = value.reshape(-1, 3, 3)[:, order][:, :, order]
            variable.assign(heads.reshape(value.shape))
    after = model.terms(batch, SEED, evaluation=True)
    np.testing.assert_allclose(after.objective, before.objective, rtol=1e-4)
    for key, value in before.sums.items():
        expected = value.numpy()[order] if key == "skill_use" else value
        np.testing.assert_allclose(after.sums[key], expected, rtol=1e-4)
    use = before.sums["skill_use"].numpy()
    assert np.ptp(use) > 0.1 * use.mean()


def test_the_bound_is_below_the_importance_sampled_likelihood():
    config = HelmsConfig(
        num_skills=2,
        latent_dim=1,
        look_ahead=1,
        hidden_sizes=(8,),
        window=2,
        batch_size=20_000,
        learning_rate=1e-2,
        beta_z=1.0,
    )
    model = make_model(config)
    row = trained_on_window(model)
    many = {
        key: np.repeat(value, config.batch_size, axis=0) for key, value in row.items()
    }
    bound = float(tf.reduce_mean(model.terms(many, SEED).objective))

    nets, size = model.networks, 200_000
    proprio, objects = nets.normalize(row["proprio"], row["objects"])
    q_y = tf.nn.softmax(nets.posterior_logits(proprio, objects)).numpy()[0]
    p_y = tf.nn.softmax(nets.prior_logits).numpy()
    mean, stddev = nets.latent(proprio[:, :2], objects[:, :2])
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=size)  # y_0
    log_weight = np.zeros(size)
    for t in range(2):
        after = (rng.random(size) < q_y[t][y, 1]).astype(int)
        log_weight += np.log(p_y[y, after] / q_y[t][y, after])
        y = after
        # Wider than the posterior, so that no draw outweighs the others.
        scale = 1.5 * stddev.numpy()[0, t, y, 0]
        proposal = tfd.Normal(mean.numpy()[0, t, y, 0], scale)
        z = rng.normal(proposal.loc, proposal.scale).astype(np.float32)
        log_weight += tfd.Normal(0.0, 1.0).log_prob(z) - proposal.log_prob(z)
        action = tfd.Normal(nets.low_level(z[:, None], proprio[:, t]), 0.1)
        log_weight += tf.reduce_sum(action.log_prob(row["action"][:, t]), axis=-1)
    sampled = np.log(np.mean(np.exp(log_weight)))

    # And by integration: p(a|x) = prod_t of the integral of p(z) p(a_t|z, x_t).
    grid = np.linspace(-8, 8, 8001, dtype=np.float32)
    integrated = 0.0
    for t in range(2):
        action = tfd.Normal(nets.low_level(grid[:, None], proprio[:, t]), 0.1)
        values = tf.reduce_sum(action.log_prob(row["action"][:, t]), axis=-1)
        values += tfd.Normal(0.0, 1.0).log_prob(grid)
        integrated += float(tf.reduce_logsumexp(values)) + np.log(grid[1] - grid[0])
    np.testing.assert_allclose(sampled, integrated, atol=0.05)
    assert bound < sampled
    assert bound > sampled - 5.0
