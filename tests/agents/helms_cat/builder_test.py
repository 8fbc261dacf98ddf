"""HeLMS-cat's parts through a real Reverb server."""

import numpy as np
import pytest
import reverb
import tensorflow as tf
from acme import EnvironmentLoop, specs
from acme.utils import loggers

from agents.helms_cat.config import HelmsCatConfig
from agents.mpo.builder import TABLE, error_buffer
from tests.helpers import fakes

_SMALL = {
    **fakes.TINY_NETWORKS,
    "batch_size": 4,
    "sequence_length": 5,
    "sequence_period": 4,
    "min_replay_size": 1,
    "samples_per_insert": 0.0,
}


def _parts(**overrides):
    builder = fakes.make_builder(HelmsCatConfig(**{**_SMALL, **overrides}))
    environment = fakes.MatchingTask(seed=1)
    return builder, environment, specs.make_environment_spec(environment)


def _serve(builder, spec, **kwargs):
    server = reverb.Server(builder.make_replay_tables(spec, **kwargs), port=None)
    return server, reverb.Client(f"localhost:{server.port}")


def test_replay_stores_skills_with_exact_masks():
    builder, environment, spec = _parts()
    server, client = _serve(builder, spec)
    networks = builder.make_networks(spec, seed=0)
    policy = builder.make_policy(networks)
    adder = builder.make_adder(client)
    actor = builder.make_actor(policy, seed=5, adder=adder)
    skills, observations, rewards = [], [], []
    timestep = environment.reset()
    actor.observe_first(timestep)
    while not timestep.last():
        observations.append(timestep.observation["objects"])
        action = actor.select_action(timestep.observation)
        assert action.shape == (1,) and action.dtype == np.float32
        # The angle tells the skill it was decoded from.
        assert int(np.round(action[0] / 0.8)) + 1 == actor.agent_action
        timestep = environment.step(action)
        actor.observe(action, timestep)
        skills.append(int(actor.agent_action))
        rewards.append(timestep.reward)
    observations.append(timestep.observation["objects"])

    # 8 transitions and the final observation: rows 0-4 and 4-8.
    sample = next(builder.make_dataset_iterator(client)).data
    assert sample.action.shape == (4, 5) and sample.action.dtype == tf.int32
    assert sample.observation["objects"].shape == (4, 5, 3)
    for i in range(4):
        start = int(round(float(sample.observation["proprio"][i, 0, 0]) * 8))
        assert start in (0, 4)
        last = start == 4
        valid = [1, 1, 1, 1, 0] if last else [1, 1, 1, 1, 1]
        np.testing.assert_array_equal(sample.extras["valid"][i], valid)
        rows = slice(start, start + (4 if last else 5))
        count = rows.stop - rows.start
        np.testing.assert_array_equal(sample.action[i, :count], skills[rows])
        np.testing.assert_array_equal(sample.reward[i, :count], rewards[rows])
        np.testing.assert_array_equal(
            sample.observation["objects"][i], observations[start : start + 5]
        )
        # A time limit: the environment's discount stays 1.
        np.testing.assert_array_equal(sample.discount[i, :count], np.ones(count))
    del actor, adder  # the server waits for their streams
    server.stop()


def test_padding_is_not_valid():
    # 8 transitions in rows of 6, period 5: the second sequence is rows 5-8 and 2 zeros.
    builder, environment, spec = _parts(sequence_length=6, sequence_period=5)
    server, client = _serve(builder, spec)
    networks = builder.make_networks(spec, seed=0)
    adder = builder.make_adder(client)
    actor = builder.make_actor(builder.make_policy(networks), 0, adder)
    loop = EnvironmentLoop(environment, actor, logger=loggers.NoOpLogger())
    loop.run(num_episodes=1)
    sample = next(builder.make_dataset_iterator(client)).data
    masks = {tuple(row) for row in sample.extras["valid"].numpy().astype(int)}
    assert masks <= {(1, 1, 1, 1, 1, 1), (1, 1, 1, 0, 0, 0)}
    info = client.server_info()[TABLE]
    assert info.current_size == 2
    del actor, adder, loop  # the server waits for their streams
    server.stop()


def test_learner_and_actor_in_one_process_never_block():
    """The limiter's buffer is wide enough for one process to insert and to sample."""
    builder, environment, spec = _parts(
        samples_per_insert=4.0, min_replay_size=10, variable_update_period=8
    )
    server, client = _serve(builder, spec, limit_rate=True)
    networks = builder.make_networks(spec, seed=0)
    adder = builder.make_adder(client)
    learner = builder.make_learner(networks, builder.make_dataset_iterator(client))
    actor = builder.make_actor(builder.make_policy(networks), 0, adder, learner)
    loop = EnvironmentLoop(environment, actor, logger=loggers.NoOpLogger())
    steps = 0
    for _ in range(40):
        steps += loop.run_episode()["episode_length"]
        while learner.num_steps < builder.learner_steps_due(steps):
            learner.step()
    # 80 inserts, 4 held back as in flight, 10 before the first sample: 66 * 4 / 4.
    assert learner.num_steps == builder.learner_steps_due(320) == 66
    del actor, adder, loop, learner  # the server waits for their streams
    server.stop()


def test_error_buffer_scales_with_the_batch():
    assert error_buffer(HelmsCatConfig()) == (2 + 4) * 512 + 8 * 32.0
    assert error_buffer(HelmsCatConfig(min_replay_size=10_000)) == 32_000


def test_equal_seeds_give_equal_decisions():
    builder, environment, spec = _parts()
    networks = builder.make_networks(spec, seed=0)
    observation = environment.reset().observation

    def decisions(seed):
        actor = builder.make_actor(builder.make_policy(networks), seed)
        return [float(actor.select_action(observation)[0]) for _ in range(6)]

    assert decisions(1) == decisions(1)
    assert decisions(1) != decisions(2)


def test_greedy_evaluation_takes_the_likeliest_skill():
    builder, environment, spec = _parts(evaluation="greedy", sample_latent=False)
    networks = builder.make_networks(spec, seed=0)
    observation = environment.reset().observation
    actor = builder.make_actor(builder.make_policy(networks, evaluation=True), 0)
    logits = networks.policy({k: v[None] for k, v in observation.items()})
    for _ in range(5):
        actor.select_action(observation)
        assert actor.agent_action == int(np.argmax(logits[0]))


def test_actor_refuses_nan():
    builder, environment, spec = _parts()
    server, client = _serve(builder, spec)
    networks = builder.make_networks(spec, seed=0)
    adder = builder.make_adder(client)
    actor = builder.make_actor(builder.make_policy(networks), 0, adder)
    timestep = environment.reset()
    actor.observe_first(timestep)
    action = actor.select_action(timestep.observation)
    timestep = environment.step(action)._replace(reward=np.float32("nan"))
    with pytest.raises(FloatingPointError, match="reward is not finite"):
        actor.observe(action, timestep)
    del actor, adder  # the server waits for their streams
    server.stop()


def test_environment_that_does_not_suit_the_skills():
    builder, _, spec = _parts()
    actions = spec._replace(actions=specs.Array((5,), np.float32))
    with pytest.raises(ValueError, match="act in 1 dimensions"):
        builder.make_networks(actions, seed=0)
    observations = dict(spec.observations)
    observations["objects"] = specs.Array((4,), np.float32)
    with pytest.raises(ValueError, match="learned on observations of sizes"):
        builder.make_networks(spec._replace(observations=observations), seed=0)
