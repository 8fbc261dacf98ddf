"""The weight of the prior, constant or halving, in both losses that have one."""

import numpy as np
import pytest
import tensorflow as tf

from agents.distributions.policies import Mixture
from agents.mpo.config import CategoricalMPOConfig
from agents.mpo.policy_losses.categorical import CategoricalPolicyLoss
from agents.rhpo.config import RHPOConfig
from agents.rhpo.policy_loss import MixturePolicyLoss

LOGITS = tf.constant([[0.3, -1.0, 2.0]])


def categorical(**settings):
    loss = CategoricalPolicyLoss(CategoricalMPOConfig(**settings))

    @tf.function  # as the learner's step
    def prior():
        return loss(LOGITS, LOGITS, None, tf.zeros([1, 3]))[1]["loss_prior"]

    return loss, prior


def mixture(**settings):
    loss = MixturePolicyLoss(RHPOConfig(eta_z=0.0, **settings))
    policy = Mixture(LOGITS, tf.zeros([1, 3, 2]), tf.ones([1, 3, 2]))
    actions, values = tf.zeros([4, 1, 2]), tf.zeros([4, 1])

    @tf.function
    def prior():
        return loss(policy, policy, actions, values)[1]["loss_prior_categorical"]

    return loss, prior


def kl_to_uniform():
    p = tf.nn.softmax(LOGITS).numpy()[0]
    return float(np.sum(p * np.log(3 * p)))


@pytest.mark.parametrize("make", [categorical, mixture])
def test_the_priors_weight_halves(make):
    loss, prior = make(eta_y=0.4, eta_y_half_life=2)
    for step in range(4):
        expected = 0.4 * 0.5 ** (step / 2) * kl_to_uniform()
        np.testing.assert_allclose(prior(), [expected], rtol=1e-5)
        loss.end_step()
    assert not any("eta_y" in v.name for v in loss.trainable_variables)


@pytest.mark.parametrize("make", [categorical, mixture])
def test_the_priors_weight_is_constant_unless_told(make):
    loss, prior = make(eta_y=0.4)
    loss.end_step()
    np.testing.assert_allclose(prior(), [0.4 * kl_to_uniform()], rtol=1e-5)


def test_the_priors_weight_goes_on_from_a_checkpoint(tmp_path):
    loss, _ = categorical(eta_y=0.4, eta_y_half_life=2)
    loss.end_step()
    path = tf.train.Checkpoint(loss=loss).save(str(tmp_path / "ckpt"))
    restored, prior = categorical(eta_y=0.4, eta_y_half_life=2)
    tf.train.Checkpoint(loss=restored).restore(path).assert_consumed()
    np.testing.assert_allclose(prior(), [0.4 * 0.5**0.5 * kl_to_uniform()], rtol=1e-5)


def test_a_negative_half_life_is_refused():
    with pytest.raises(ValueError, match="eta_y_half_life must not be negative"):
        CategoricalMPOConfig(eta_y_half_life=-1)
