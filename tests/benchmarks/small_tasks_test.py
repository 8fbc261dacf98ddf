"""Agents of `control` and `launches`: each learns on its task."""

import itertools

import numpy as np
import pytest
import reverb
import tensorflow as tf
from acme import specs
from acme.adders.reverb import base

from benchmarks import small_tasks

BATCH = 3


def _sample(spec, latent, length):
    """Sequences in mid-episode, as replay gives them."""
    rng = np.random.default_rng(0)
    size = (BATCH, length)
    action = rng.uniform(-1.0, 1.0, (*size, *latent.shape)).astype(latent.dtype)
    if np.issubdtype(latent.dtype, np.integer):
        action = rng.integers(latent.num_values, size=size, dtype=latent.dtype)
    data = base.Trajectory(
        observation={
            name: rng.normal(size=(*size, *array.shape)).astype(np.float32)
            for name, array in spec.observations.items()
        },
        action=action,
        reward=rng.normal(size=size).astype(np.float32),
        discount=np.ones(size, np.float32),
        start_of_episode=np.zeros(size, bool),
        extras={"valid": np.ones(size, np.float32)},
    )
    return reverb.ReplaySample((), tf.nest.map_structure(tf.constant, data))


@pytest.mark.parametrize("agent", small_tasks.AGENTS)
@pytest.mark.usefixtures("eagerly")
def test_an_agent_takes_a_learner_step(agent):
    spec = specs.make_environment_spec(small_tasks.make_grouped("two_modes", seed=0))
    builder = small_tasks.make_builder(agent, "two_modes", spec)
    networks = builder.make_networks(spec, seed=0)
    before = [v.numpy() for v in networks.policy.trainable_variables]
    sample = _sample(
        spec, builder.agent_action_spec(spec), builder.config.sequence_length
    )
    builder.make_learner(networks, itertools.repeat(sample)).step()
    after = [v.numpy() for v in networks.policy.trainable_variables]
    assert any((a != b).any() for a, b in zip(after, before, strict=True))
    assert all(np.isfinite(a).all() for a in after)
