"""BC's objective against TFP."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from agents.bc.config import BcConfig
from tests.offline_models import CONFIGS, make_model, two_modes

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
    mean = model.networks.action(*features)
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
    together = nets.action(*features)
    alone = nets.action(*(feature[:, 2] for feature in features))
    np.testing.assert_allclose(together[:, 2], alone, rtol=1e-5, atol=1e-6)
