"""BC's objective against TFP."""

import dataclasses

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from agents.bc.config import BcConfig
from agents.offline.learning import OfflineLearner
from tests.helpers.offline_models import CONFIGS, make_model, two_modes

tfd = tfp.distributions


def test_defaults_are_those_of_the_other_models():
    config = BcConfig()
    assert config.hidden_sizes == (256, 256)
    assert (config.action_stddev, config.look_ahead) == (0.1, 0)
    assert (config.batch_size, config.window, config.learning_rate) == (128, 25, 1e-4)
    assert "look_ahead" not in BcConfig.names()
    assert BcConfig.from_dict(config.to_dict()) == config


def test_the_objective_is_the_likelihood_of_the_valid_steps():
    model, batch = make_model("bc"), two_modes(0, CONFIGS["bc"])
    terms = model.terms(batch, tf.constant([0, 0]), evaluation=True)
    features = model.networks.normalize(batch["proprio"], batch["objects"])
    mean = model.networks.distribution(*features).mean
    expected = tf.reduce_sum(tfd.Normal(mean, 0.1).log_prob(batch["action"]), axis=-1)
    np.testing.assert_allclose(
        terms.objective, np.sum(expected * batch["mask"], axis=1), rtol=1e-5
    )
    squares = np.mean((batch["action"] - mean) ** 2, axis=-1)
    np.testing.assert_allclose(
        terms.sums["action_mse"], np.sum(squares * batch["mask"]), rtol=1e-5
    )


def test_the_policy_sees_one_step_only():
    nets = make_model("bc").networks
    batch = two_modes(0, CONFIGS["bc"])
    features = [tf.constant(batch[key]) for key in ("proprio", "objects")]
    together = nets.distribution(*features).mean
    alone = nets.distribution(*(feature[:, 2] for feature in features)).mean
    np.testing.assert_allclose(together[:, 2], alone, rtol=1e-5, atol=1e-6)


def test_a_bernoulli_finger_adds_the_probability_of_its_sign():
    config = dataclasses.replace(CONFIGS["bc"], finger="bernoulli")
    model, batch = make_model(config), two_modes(0, config)
    terms = model.terms(batch, tf.constant([0, 0]), evaluation=True)
    features = model.networks.normalize(batch["proprio"], batch["objects"])
    mean = model.networks.distribution(*features).mean
    expected = tfd.Normal(mean[..., 0], 0.1).log_prob(batch["action"][..., 0])
    expected += tfd.Bernoulli(probs=(1 + mean[..., 1]) / 2).log_prob(
        batch["action"][..., 1] > 0
    )
    np.testing.assert_allclose(
        terms.objective, np.sum(expected * batch["mask"], axis=1), rtol=1e-4
    )


def test_a_bernoulli_finger_learns_the_share_of_each_sign():
    """Signs that nothing tells: the mean comes to be that of the data."""
    config = dataclasses.replace(CONFIGS["bc"], finger="bernoulli", learning_rate=1e-2)
    model, rng = make_model(config), np.random.default_rng(0)

    def batch():
        made = two_modes(0, config)
        made["proprio"][:], made["objects"][:] = 1.0, 1.0
        made["action"][..., 1] = np.where(rng.random((32, 6)) < 0.8, 1.0, -1.0)
        return made

    learner = OfflineLearner(model, lambda _: iter(batch, None))
    for _ in range(150):
        learner.step()
    one = tf.ones([1, 3]), tf.ones([1, 2])
    finger = model.networks.distribution(*one).mean[0, 1]
    np.testing.assert_allclose(finger, 0.6, atol=0.1)
