"""Acme's MPO in TensorFlow, as its examples on control tasks set it up."""

from __future__ import annotations

from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf
from acme import core
from acme.agents.tf.mpo import learning
from acme.tf import losses
from acme.tf import networks as acme_networks
from acme.utils import loggers

BATCH_SIZE = 256  # transitions
NUM_SAMPLES = 20
TARGET_UPDATE_PERIOD = 100  # learner steps


def make_learner(
    observation_size: int,
    action_size: int,
    critic_sizes: Sequence[int],
    dataset: tf.data.Dataset,
) -> tuple[core.Learner, snt.Module]:
    """Makes a learner, and the policy network that it trains.

    Args:
      observation_size: size of the vector of observations.
      action_size: D.
      critic_sizes: hidden units of the critic; the policy's are 256, 256, 256.
      dataset: batches of transitions.
    """
    (policy, critic), (target_policy, target_critic) = (
        _networks(observation_size, action_size, critic_sizes) for _ in range(2)
    )
    learner = learning.MPOLearner(
        policy,
        critic,
        target_policy,
        target_critic,
        discount=0.99,
        num_samples=NUM_SAMPLES,
        target_policy_update_period=TARGET_UPDATE_PERIOD,
        target_critic_update_period=TARGET_UPDATE_PERIOD,
        dataset=dataset,
        policy_loss_module=losses.MPO(
            epsilon=0.1,
            epsilon_penalty=1e-3,
            epsilon_mean=2.5e-3,
            epsilon_stddev=1e-6,
            init_log_temperature=10.0,
            init_log_alpha_mean=10.0,
            init_log_alpha_stddev=1000.0,
        ),
        policy_optimizer=snt.optimizers.Adam(1e-4),
        critic_optimizer=snt.optimizers.Adam(1e-4),
        logger=loggers.NoOpLogger(),
        checkpoint=False,
    )
    return learner, policy


def _networks(
    observation_size: int, action_size: int, critic_sizes: Sequence[int]
) -> tuple[snt.Module, snt.Module]:
    """Makes policy and critic, and their variables."""
    policy = snt.Sequential(
        [
            acme_networks.LayerNormMLP((256, 256, 256), activate_final=True),
            acme_networks.MultivariateNormalDiagHead(
                action_size, init_scale=0.3, use_tfd_independent=True
            ),
        ]
    )
    critic = snt.Sequential(
        [
            acme_networks.CriticMultiplexer(
                critic_network=acme_networks.LayerNormMLP(
                    critic_sizes, activate_final=True
                )
            ),
            snt.Linear(1),
        ]
    )
    policy(tf.zeros([1, observation_size]))
    critic(tf.zeros([1, observation_size]), tf.zeros([1, action_size]))
    return policy, critic
