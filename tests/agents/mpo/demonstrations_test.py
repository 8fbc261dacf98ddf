"""Demonstrations against what a real adder writes, and what frozen models say."""

import dm_env
import numpy as np
import pytest
import reverb
import tensorflow as tf
import tree
from acme import specs

from agents import registry
from agents.builder import Decision, Policy, hold
from agents.mpo import demonstrations, sequences
from agents.mpo.batched_acting import BatchedActor, BatchedPolicy
from agents.mpo.builder import TABLE
from agents.mpo.demonstrations import Demonstrations, Episode, decisions
from agents.mpo.interruptible_writer import InterruptibleClient
from agents.registry import AGENTS
from tests.helpers import fakes, offline_models

_SIZES = {"proprio": 3, "objects": 2}
_SPEC = specs.EnvironmentSpec(
    observations={k: specs.Array((n,), np.float32, k) for k, n in _SIZES.items()},
    actions=specs.BoundedArray((2,), np.float32, -1.0, 1.0, "action"),
    rewards=specs.Array((), np.float32, "reward"),
    discounts=specs.BoundedArray((), np.float32, 0.0, 1.0, "discount"),
)


def _episode(steps, seed):
    rng = np.random.default_rng(seed)
    discount = rng.uniform(0.5, 1.0, steps).astype(np.float32)
    discount[-1] = seed % 2
    return Episode(
        {
            key: rng.normal(size=(steps + 1, size)).astype(np.float32)
            for key, size in _SIZES.items()
        },
        rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        rng.normal(size=steps).astype(np.float32),
        discount,
    )


def _episodes(lengths):
    return [_episode(steps, seed) for seed, steps in enumerate(lengths)]


class _Seen(Policy):
    """Holds a skill, of which and of every step's observation is the latent."""

    learned_variables = ()

    def __init__(self, skill_steps):
        super().__init__()
        self.skill_steps = skill_steps

    def __call__(self, observation, seed, held=None):
        del seed
        skill = tf.argmax(observation["proprio"], axis=-1, output_type=tf.int32)
        skill = hold(skill, held)
        latent = observation["objects"] + tf.cast(skill, tf.float32)[:, None]
        return Decision(latent, latent + 0.0, skill)


def _act(actor, episode):
    """Lets an actor live through an episode."""

    def observation(t):
        return {key: value[t] for key, value in episode.observation.items()}

    actor.observe_first(dm_env.restart(observation(0)))
    steps = len(episode.reward)
    for t in range(steps):
        kind = dm_env.StepType.LAST if t == steps - 1 else dm_env.StepType.MID
        step = dm_env.TimeStep(
            kind, episode.reward[t], episode.discount[t], observation(t + 1)
        )
        actor.observe(actor.select_action(observation(t)), step)


@pytest.mark.parametrize("skill_steps", [1, 3])
@pytest.mark.parametrize(("length", "period"), [(10, 5), (6, 4), (5, 3), (2, 1)])
def test_sequences_are_those_of_an_actor_and_its_adder(length, period, skill_steps):
    """All lengths around a sequence's, some of which end within a decision."""
    at_edge = (length + np.arange(-1, 2)) * skill_steps
    episodes = _episodes([1, 2, *at_edge, at_edge[-1] + 1, 23])
    types = {"valid": np.float32, "skill": np.int32, "previous_skill": np.int32}
    extras = {key: specs.Array((), dtype, key) for key, dtype in types.items()}
    table = reverb.Table(
        TABLE,
        sampler=reverb.selectors.Fifo(),
        remover=reverb.selectors.Fifo(),
        max_size=1000,
        max_times_sampled=1,
        rate_limiter=reverb.rate_limiters.MinSize(1),
        signature=sequences.signature(_SPEC, extras, length, period),
    )
    server = reverb.Server([table], port=None)
    client = reverb.Client(f"localhost:{server.port}")
    adder = sequences.BlockSequenceAdder(
        InterruptibleClient(client, lambda: False), TABLE, length, period
    )
    runner = BatchedPolicy(_Seen(skill_steps), seed=0)
    actor = BatchedActor(runner, 0, adder, gamma=0.9, stores_skills=True)
    for episode in episodes:
        _act(actor, episode)
    count = client.server_info()[TABLE].current_size
    # No more than there are: a sampler that waits for another holds the server up.
    dataset = reverb.TrajectoryDataset.from_table_signature(
        client.server_address, TABLE, 1, max_samples=count
    )
    expected = next(iter(dataset.batch(count).map(sequences.joined))).data
    del actor, adder  # the server waits for their stream too
    server.stop()

    first = slice(None, -1, skill_steps)  # the final observation decides nothing
    seen = [{k: v[first] for k, v in e.observation.items()} for e in episodes]
    skills = [np.argmax(s["proprio"], axis=-1).astype(np.int32) for s in seen]
    latents = [s["objects"] + y[:, None] for s, y in zip(seen, skills, strict=True)]
    made = Demonstrations(
        [decisions(episode, skill_steps, 0.9) for episode in episodes],
        [latent.astype(np.float32) for latent in latents],
        length,
        period,
        skills,
    )
    assert made.num_sequences == count
    actual = made.sequences(tf.range(count))
    tree.assert_same_structure(actual, expected)
    for a, b in zip(tree.flatten(actual), tree.flatten(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_a_batch_has_its_share_drawn_uniformly():
    episodes = _episodes([6, 9])
    made = Demonstrations(episodes, [e.action for e in episodes], 5, 4)
    ones = tree.map_structure(
        tf.ones_like, reverb.ReplaySample((), made.sequences(tf.range(3)))
    )
    replay = tf.data.Dataset.from_tensors(ones).repeat()
    counts = np.zeros(made.num_sequences)
    every = made.sequences(tf.range(made.num_sequences)).reward.numpy()
    batches = list(replay.apply(lambda d: made.mixed_into(d, 2)).take(600))
    for batch in batches:
        reward = batch.data.reward.numpy()
        assert reward.shape == (5, 5) and (reward[:3] == 1).all()
        for row in reward[3:]:
            (number,) = np.flatnonzero((every == row).all(axis=1))
            counts[number] += 1
    np.testing.assert_allclose(counts / 1200, 1 / len(every), atol=0.05)
    again = next(iter(made.mixed_into(replay, 2)))
    np.testing.assert_array_equal(again.data.reward, batches[0].data.reward)


def _window(episode, look_ahead):
    """One episode's frames, its last repeated."""
    return [
        tf.constant(np.concatenate([frames, *[frames[-1:]] * (look_ahead - 1)])[None])
        for frames in (episode.observation["proprio"], episode.observation["objects"])
    ]


def _expected(name, model, episode):
    if model is None or name == "bc":
        return episode.action
    window = _window(episode, model.look_ahead)
    if name == "npmp":
        return model.encode(*window)[0][0]
    skill = np.argmax(model.posterior(*window)[0], axis=-1)
    if name == "helms_cat":
        return skill
    mean, _ = model.mid_level({k: v[:-1] for k, v in episode.observation.items()})
    return mean.numpy()[np.arange(len(skill)), skill]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("helms_cat", {}),
        ("helms_cat", {"skill_steps": 3, "skill_prior": "transition"}),
        ("helms_mix", {"skill_steps": 3, "skill_prior": "transition"}),
        ("npmp", {"skill_steps": 3}),
        ("bc", {}),
        ("mpo", {}),
    ],
)
@pytest.mark.usefixtures("eagerly")
def test_agents_learn_from_both(name, settings, tmp_path):
    agent, model = AGENTS[name], None
    if agent.model is not None:
        networks = offline_models.make_model(agent.model).networks
        registry.save_bundle(
            tmp_path / "b", networks, {"proprio": ["a"], "objects": ["b"]}
        )
        model = registry.load_bundle(tmp_path / "b")
    config = agent.config_type(**fakes.TINY_AGENT, **settings, demonstration_share=0.4)
    assert (config.num_demonstrations, config.replay_batch_size) == (3, 5)
    builder = agent.builder(config, model)
    episodes = _episodes([7, 1, 12])
    latents = builder.demonstrated(episodes)
    for latent, episode in zip(latents, episodes, strict=True):
        np.testing.assert_allclose(
            latent, _expected(name, model, episode), rtol=1e-5, atol=1e-6
        )
    skills = None
    if config.stores_skills:
        skills = builder.demonstrated_skills(episodes)
        for skill, episode in zip(skills, episodes, strict=True):
            np.testing.assert_array_equal(skill, _expected("helms_cat", model, episode))
        skills = [skill[:: config.skill_steps] for skill in skills]

    server = reverb.Server(builder.make_replay_tables(_SPEC), port=None)
    client = reverb.Client(f"localhost:{server.port}")
    spec = builder.agent_action_spec(_SPEC)
    policy = builder.make_policy(builder.make_networks(_SPEC, seed=0))
    _act(builder.make_actor(policy, 0, builder.make_adder(client)), _episode(27, 9))
    with pytest.raises(ValueError, match="share needs demonstrations"):
        builder.make_dataset_iterator(client)
    builder.demonstrate(lambda: episodes)
    dataset = builder.make_dataset_iterator(client)
    batch = next(dataset).data
    assert batch.action.shape == (8, 5, *spec.shape)
    assert batch.action.dtype == spec.dtype
    stored = Demonstrations(
        [decisions(e, config.skill_steps, config.discount) for e in episodes],
        [latent[:: config.skill_steps] for latent in latents],
        5,
        4,
        skills,
    )
    stored = stored.sequences(tf.range(stored.num_sequences))
    for row in range(8):
        same = (stored.reward == batch.reward[row]).numpy().all(axis=1)
        numbers = np.flatnonzero(same)
        assert len(numbers) == (row >= 5)
        for number in numbers:
            for a, b in zip(tree.flatten(batch), tree.flatten(stored), strict=True):
                np.testing.assert_array_equal(a[row], b[number])
    learner = builder.make_learner(builder.make_networks(_SPEC, seed=0), dataset)
    learner.step()
    server.stop()


def test_demonstrations_of_other_dimensions():
    demonstrations.check_fits(_SPEC, _episode(3, 0))
    narrow = _episode(3, 0)._replace(action=np.zeros((3, 4), np.float32))
    with pytest.raises(ValueError, match=r"'action': \[4\].*'action': \[2\]"):
        demonstrations.check_fits(_SPEC, narrow)


def test_replay_is_sampled_less_often_a_learner_step():
    agent = AGENTS["mpo"]
    settings = {"samples_per_insert": 4.0, "min_replay_size": 10, "batch_size": 8}
    due = [
        agent.builder(
            agent.config_type(**settings, demonstration_share=share), None
        ).learner_steps_due(5000)
        for share in (0.0, 0.5)
    ]
    # 1000 sequences, less 4 on their way and 10 at first, each sampled 4 times.
    assert due == [986 * 4 // 8, 986 * 4 // 4]
