"""A checkpoint of this project's agents acts as the run's own actor does."""

import os
import pickle

import numpy as np
import pytest
import tensorflow as tf

import environments
from agents import registry
from agents.helms import networks
from agents.helms.config import HelmsConfig
from agents.mpo import learner_checkpoints
from agents.offline.networks import Dims, unit_statistics
from environments import observations
from launchers.experiments import checkpoint_expert, record
from launchers.experiments import config as experiment_config

SEED = 5


def _save(config, policy, learner_steps):
    tf.train.CheckpointManager(
        tf.train.Checkpoint(
            policy=policy, num_steps=tf.Variable(learner_steps, dtype=tf.int64)
        ),
        os.path.join(config.workdir, "checkpoints", learner_checkpoints.NAME),
        max_to_keep=1,
    ).save()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's configuration, builder and networks, which are its checkpoint of 7."""
    root = tmp_path_factory.mktemp("run")
    sizes = observations.GROUP_SIZES
    dims = Dims(sizes["proprio"], sizes["objects"], 5)
    helms = HelmsConfig(num_skills=3, latent_dim=2, hidden_sizes=(8,))
    model = networks.HelmsNetworks(helms, dims, unit_statistics(dims))
    registry.save_bundle(str(root / "skills"), model, observations.GROUPS)
    config = experiment_config.RunConfig(
        str(root / "skills"), str(root / "agent"), seed=2
    )
    made = experiment_config.make_experiment(config)
    record.check(config)
    builder = made.builder_factory()
    # Of another seed than the configuration's: only the checkpoint has these.
    restored = builder.make_networks(made.environment_spec, 99)
    _save(config, restored.policy, 7)
    return config, builder, restored


def test_it_acts_as_the_runs_actor_and_follows_its_seed(run):
    config, builder, restored = run
    pinned = checkpoint_expert.pin(config.workdir)
    assert pinned == f"{config.workdir}@7"
    make = pickle.loads(pickle.dumps(checkpoint_expert.factory(pinned)))
    environment = environments.make(seed=0)
    expert = make(environment)
    timesteps = [environment.reset()]
    for _ in range(4):
        timesteps.append(environment.step(np.ones(5, np.float32)))

    def acts(seed):
        expert.reset(seed)
        return np.stack([expert.step(timestep) for timestep in timesteps])

    actor = builder.make_actor(
        builder.make_policy(restored), experiment_config.derive_seed(SEED, "expert")
    )
    expected = [
        actor.select_action(observations.group(t.observation)) for t in timesteps
    ]
    taken = acts(SEED)
    np.testing.assert_allclose(taken, expected, rtol=0, atol=1e-6)
    assert taken.dtype == np.float32 and np.abs(taken).max() <= 1.0
    np.testing.assert_array_equal(expert.intended, taken[-1])
    assert not np.array_equal(acts(SEED + 1), taken)
    np.testing.assert_array_equal(acts(SEED), taken)


def test_another_checkpoint_than_the_data_set_was_begun_with_is_refused(run):
    config, _, _ = run
    make = checkpoint_expert.factory(f"{config.workdir}@6")
    with pytest.raises(ValueError, match="has 7 learner steps, not 6"):
        make(environments.make(seed=0))


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no run in"):
        checkpoint_expert.pin(str(tmp_path))
