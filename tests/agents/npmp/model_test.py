"""Properties of NPMP as it is trained, and of its networks."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from agents.npmp.config import NpmpConfig
from agents.offline.learning import OfflineLearner, scalars
from tests.helpers.offline_models import (
    CONFIGS,
    DIMS,
    make_model,
    trained_on_window,
    two_modes,
)

tfd = tfp.distributions

AR1 = CONFIGS["npmp"]
WHITE = dataclasses.replace(AR1, prior_coefficient=0.0)
SEED = tf.constant([3, 4])


def test_defaults_are_those_of_the_paper():
    config = NpmpConfig()
    assert (config.latent_dim, config.look_ahead, config.beta_z) == (8, 5, 0.1)
    assert config.prior_coefficient == 0.0  # N(0, I), the best in A.2
    assert (config.batch_size, config.window, config.learning_rate) == (128, 25, 1e-4)
    with pytest.raises(ValueError, match=r"prior_coefficient must be in \[0, 1\)"):
        dataclasses.replace(config, prior_coefficient=1.0)
    assert NpmpConfig.from_dict(config.to_dict()) == config


def _normalized(config, size=2):
    batch = two_modes(0, dataclasses.replace(config, batch_size=size))
    return tf.constant(batch["proprio"]), tf.constant(batch["objects"])


def test_the_encoder_reads_exactly_its_look_ahead():
    nets = make_model(WHITE).networks
    proprio, objects = _normalized(WHITE)
    mean, stddev, _ = nets.posterior(proprio, objects)
    assert mean.shape == stddev.shape == (2, WHITE.window, WHITE.latent_dim)
    moved = objects.numpy()
    moved[:, 3] += 1.0  # seen at t = 2 and t = 3
    other, _, _ = nets.posterior(proprio, tf.constant(moved))
    difference = np.abs(other - mean).max(axis=(0, 2)) > 0
    assert difference.tolist() == [False, False, True, True, False, False]


def test_z_before_is_an_input_only_under_the_ar1_prior():
    proprio, objects = _normalized(AR1)
    noise = np.zeros((2, AR1.window, AR1.latent_dim), np.float32)
    kicked = noise.copy()
    kicked[:, 2] = 3.0
    for config, follows in ((AR1, True), (WHITE, False)):
        nets = make_model(config).networks
        calm, _, at_mean = nets.posterior(proprio, objects, tf.constant(noise))
        np.testing.assert_array_equal(calm, at_mean)
        mean, _, _ = nets.posterior(proprio, objects, tf.constant(kicked))
        moved = np.abs(mean - calm).max(axis=(0, 2)) > 0
        assert moved.tolist() == [False] * 3 + [follows] * 3


@pytest.mark.parametrize("config", [AR1, WHITE], ids=["ar1", "white"])
def test_learning_raises_the_bound(config):
    batches = (two_modes(1000 + i, config) for i in itertools.count())
    learner = OfflineLearner(make_model(config), lambda _: batches)
    held_out = [two_modes(0, config)]
    before = scalars(learner.evaluate(held_out))
    for _ in range(200):
        learner.step()
    after = scalars(learner.evaluate(held_out))
    assert after["elbo"] > before["elbo"] + 5.0
    assert after["action_mse"] < 0.1 < before["action_mse"]
    # The low level cannot know the mode: the latent must tell.
    assert after["latent_kl"] > 0.3
    assert after["active_latents"] >= 1


def _sampled(nets, row, config, size, rng):
    """log p(a|x) by importance sampling, the encoder being the proposal."""
    repeated = {key: np.repeat(value, size, axis=0) for key, value in row.items()}
    proprio, objects = nets.normalize(repeated["proprio"], repeated["objects"])
    # Wider than the posterior, so that no draw outweighs the others.
    noise = 1.5 * rng.normal(size=(size, config.window, 1)).astype(np.float32)
    mean, stddev, z = nets.posterior(proprio, objects, tf.constant(noise))
    log_weight = -tf.reduce_sum(tfd.Normal(mean, 1.5 * stddev).log_prob(z), axis=[1, 2])
    c = config.prior_coefficient
    before = tfd.Normal(c * z[:, :-1], np.float32(np.sqrt(1 - c**2)))
    log_weight += tf.reduce_sum(before.log_prob(z[:, 1:]), axis=[1, 2])
    log_weight += tfd.Normal(0.0, 1.0).log_prob(z[:, 0, 0])
    action = tfd.Normal(nets.low_level(z, proprio[:, : config.window]), 0.1)
    log_weight += tf.reduce_sum(action.log_prob(repeated["action"]), axis=[1, 2])
    return float(tf.reduce_logsumexp(log_weight)) - np.log(size)


def _integrated(nets, row, config):
    """log p(a_1, a_2|x) by integration over a grid of (z_1, z_2)."""
    grid = np.linspace(-6, 6, 1501, dtype=np.float32)
    proprio = nets.normalize_proprio(row["proprio"])
    parts = []
    for t in range(2):
        action = tfd.Normal(nets.low_level(grid[:, None], proprio[:, t]), 0.1)
        parts.append(tf.reduce_sum(action.log_prob(row["action"][:, t]), axis=-1))
    c = config.prior_coefficient
    after = tfd.Normal(c * grid[:, None], np.float32(np.sqrt(1 - c**2)))
    joint = parts[0][:, None] + parts[1][None] + after.log_prob(grid[None])
    joint += tfd.Normal(0.0, 1.0).log_prob(grid)[:, None]
    return float(tf.reduce_logsumexp(joint)) + 2 * np.log(grid[1] - grid[0])


@pytest.mark.parametrize("coefficient", [0.0, 0.9])
def test_the_bound_is_below_the_importance_sampled_likelihood(coefficient):
    config = NpmpConfig(
        prior_coefficient=coefficient,
        latent_dim=1,
        look_ahead=1,
        hidden_sizes=(8,),
        window=2,
        batch_size=64,
        learning_rate=1e-2,
        beta_z=1.0,
    )
    model = make_model(config)
    row = trained_on_window(model)
    many = {key: np.repeat(value, 20_000, axis=0) for key, value in row.items()}
    bound = float(tf.reduce_mean(model.terms(many, SEED).objective))
    rng = np.random.default_rng(0)
    sampled = _sampled(model.networks, row, config, 50_000, rng)
    np.testing.assert_allclose(
        sampled, _integrated(model.networks, row, config), atol=0.05
    )
    assert bound < sampled
    assert bound > sampled - 5.0


def test_a_low_level_that_is_held_leaves_the_encoder_a_gradient():
    model = make_model(AR1)
    nets, batch = model.networks, two_modes(0, AR1)
    with tf.GradientTape() as tape:
        objective = model.terms(batch, SEED).objective
    gradients = tape.gradient(objective, nets.trainable_variables)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    assert len(nets.variables) == len(nets.trainable_variables) + 4  # normalisation
    assert nets.dims == DIMS
