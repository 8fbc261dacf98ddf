"""Hierarchical BC's objective against TFP."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from agents.hierarchical_bc.config import HierarchicalBcConfig
from tests.helpers.offline_models import CONFIGS, make_model, two_modes

tfd = tfp.distributions


def test_defaults_are_those_of_npmp_without_look_ahead():
    config = HierarchicalBcConfig()
    assert (config.latent_dim, config.beta_z, config.look_ahead) == (8, 0.1, 0)
    assert not {"look_ahead", "prior_coefficient"} & set(HierarchicalBcConfig.names())
    with pytest.raises(ValueError, match="unknown setting 'look_ahead'"):
        HierarchicalBcConfig.from_dict({"look_ahead": 5})


@pytest.mark.parametrize("finger", ["gaussian", "bernoulli"])
def test_the_objective_is_the_likelihood_less_the_kl_to_the_standard_normal(finger):
    config = dataclasses.replace(CONFIGS["hierarchical_bc"], finger=finger)
    model, batch = make_model(config), two_modes(0, config)
    nets, seed = model.networks, tf.constant([1, 2])
    terms = model.terms(batch, seed)
    proprio, objects = nets.normalize(batch["proprio"], batch["objects"])
    mean, stddev = nets.latent(proprio, objects)
    latent = mean + stddev * tf.random.stateless_normal(mean.shape, seed)
    action = nets.low_level(latent, proprio)
    parts = tfd.Normal(action, 0.1).log_prob(batch["action"])
    if finger == "bernoulli":
        sign = tfd.Bernoulli(probs=0.5 * (1.0 + action[..., 1]))
        parts = [parts[..., 0], sign.log_prob(batch["action"][..., 1] > 0)]
        parts = tf.stack(parts, axis=-1)
    likelihood = tf.reduce_sum(parts, axis=-1)
    kl = tfd.kl_divergence(tfd.Normal(mean, stddev), tfd.Normal(0.0, 1.0))
    expected = (likelihood - 0.1 * tf.reduce_sum(kl, axis=-1)) * batch["mask"]
    np.testing.assert_allclose(
        terms.objective, tf.reduce_sum(expected, axis=1), rtol=1e-4
    )
