"""Decisions that last: what acts, what replay gets, what the learner makes of it."""

import math
import threading
import types

import dm_env
import numpy as np
import pytest
import reverb
import tensorflow as tf
from acme import specs as acme_specs

from agents import registry
from agents.builder import Decision, Held, Policy, hold
from agents.helms.config import HelmsConfig
from agents.helms_cat.config import HelmsCatConfig
from agents.losses import critic as critic_loss
from agents.mpo.batched_acting import NO_SKILL, BatchedActor, BatchedPolicy
from agents.mpo.builder import TABLE
from agents.registry import AGENTS
from launchers.experiments import episodes as evaluation_episodes
from tests.helpers import fakes, offline_models

_SMALL = {
    **fakes.TINY_NETWORKS,
    "batch_size": 4,
    "sequence_length": 5,
    "sequence_period": 2,
    "min_replay_size": 1,
    "samples_per_insert": 0.0,
}
_GAMMA = 0.9


class _Echo(Policy):
    """Decides on what it sees: the action is the observation of the decision."""

    def __init__(self, skill_steps, in_tensorflow=False):
        super().__init__()
        self.skill_steps = skill_steps
        self._in_tensorflow = in_tensorflow

    def __call__(self, observation, seed, held=None):
        del seed
        value = observation["x"]
        checks = []
        if self._in_tensorflow:  # an op that is not compiled
            checks = [tf.debugging.assert_non_negative(value)]
        with tf.control_dependencies(checks):
            latent = hold(value, held)
            return Decision(latent, latent + 0.0)

    @property
    def learned_variables(self):
        return []


class _Adder:
    """Keeps what it is given."""

    def __init__(self):
        self.first, self.rows = None, []

    def add_first(self, timestep):
        self.first = timestep

    def add(self, action, next_timestep, extras=()):
        self.rows.append((action, next_timestep, extras))


def _observation(number):
    return {"x": np.array([number], np.float32)}


def _episode(actor, numbers, rewards, discounts):
    """Acts on observations by number; the last reward ends it. Returns the actions."""
    actor.observe_first(dm_env.restart(_observation(numbers[0])))
    actions = []
    for i, (reward, discount) in enumerate(zip(rewards, discounts, strict=True)):
        action = actor.select_action(_observation(numbers[i]))
        actions.append(float(action[0]))
        last = i + 1 == len(rewards)
        step_type = dm_env.StepType.LAST if last else dm_env.StepType.MID
        timestep = dm_env.TimeStep(
            step_type, np.float32(reward), discount, _observation(numbers[i + 1])
        )
        actor.observe(action, timestep)
    return actions


@pytest.mark.parametrize("in_tensorflow", [False, True])
@pytest.mark.parametrize("skill_steps", [1, 2, 3, 10])
def test_a_decision_is_held_from_an_episodes_first_step(skill_steps, in_tensorflow):
    actor = BatchedActor(BatchedPolicy(_Echo(skill_steps, in_tensorflow), seed=0))
    for length in (7, 3, 8):  # these end within decisions
        numbers = np.arange(100, 101 + length)
        actions = _episode(actor, numbers, [0.0] * length, [1.0] * length)
        expected = [100 + i - i % skill_steps for i in range(length)]
        assert actions == expected


def test_actors_that_share_calls_are_each_at_their_own_step():
    runner = BatchedPolicy(_Echo(3), seed=0, num_actors=3)
    taken: list[list] = [[] for _ in range(3)]

    def act(row):
        actor = BatchedActor(runner, row)
        for episode in range(6):
            length = 4 + row + episode % 3
            numbers = 1000 * row + 100 * episode + np.arange(length + 1)
            actions = _episode(actor, numbers, [0.0] * length, [1.0] * length)
            expected = [float(numbers[i - i % 3]) for i in range(length)]
            taken[row].append((actions, expected))
        actor.leave()

    threads = [threading.Thread(target=act, args=(row,)) for row in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    for episodes in taken:
        assert len(episodes) == 6
        for actions, expected in episodes:
            assert actions == expected


@pytest.mark.parametrize("skill_steps", [1, 2, 3, 5])
@pytest.mark.parametrize("final_discount", [1.0, 0.0, 0.7])
def test_targets_are_those_of_a_loop_over_control_steps(skill_steps, final_discount):
    rng = np.random.default_rng(skill_steps)
    for length in range(1, 9):
        adder = _Adder()
        actor = BatchedActor(BatchedPolicy(_Echo(skill_steps), 0), 0, adder, _GAMMA)
        rewards = rng.normal(size=length)
        discounts = [*rng.uniform(0.5, 1.0, size=length - 1), final_discount]
        numbers = np.arange(50, 51 + length)
        _episode(actor, numbers, rewards, np.array(discounts, np.float32))
        values = rng.normal(size=length + 1)  # of each control step's state

        starts = list(range(0, length, skill_steps))
        assert [float(latent[0]) for latent, _, _ in adder.rows] == [
            50 + t for t in starts
        ]
        ends = [*starts[1:], length]
        assert [float(t.observation["x"][0]) for _, t, _ in adder.rows] == [
            50 + t for t in ends
        ]
        assert [t.last() for _, t, _ in adder.rows] == [t == length for t in ends]
        # The learner's own rule, on decisions.
        td = critic_loss.n_step_td(
            value=tf.zeros([1, len(starts) + 1]),
            next_value=tf.constant([[0.0, *values[ends]]], tf.float32),
            reward=tf.constant([[*(t.reward for _, t, _ in adder.rows), 0.0]]),
            discount=tf.constant([[*(t.discount for _, t, _ in adder.rows), 0.0]]),
            valid=tf.constant([[1.0] * len(starts) + [0.0]]),
            gamma=_GAMMA,
        )
        for target, start, end in zip(td.target[0], starts, ends, strict=True):
            expected = values[end]
            for t in reversed(range(start, end)):
                expected = rewards[t] + _GAMMA * discounts[t] * expected
            np.testing.assert_allclose(target, expected, rtol=1e-5, atol=1e-6)


def test_one_step_is_stored_as_the_environment_says():
    adder = _Adder()
    actor = BatchedActor(BatchedPolicy(_Echo(1), 0), 0, adder, _GAMMA)
    rewards = np.array([0.1, -0.3, 0.7], np.float32)
    discounts = np.array([1.0, 0.25, 0.0], np.float32)
    _episode(actor, np.arange(4), rewards, discounts)
    stored = [t for _, t, _ in adder.rows]
    assert [t.reward for t in stored] == list(rewards)
    assert [t.discount for t in stored] == list(discounts)
    assert all(t.reward.dtype == t.discount.dtype == np.float32 for t in stored)
    assert [extras for _, _, extras in adder.rows] == 3 * [{"valid": 1.0}]


def _cat(**settings):
    return fakes.make_builder(HelmsCatConfig(**{**_SMALL, **settings}))


def test_helms_cat_holds_the_skill_and_draws_z_at_every_step():
    builder, environment = _cat(skill_steps=3), fakes.MatchingTask(seed=1)
    spec = acme_specs.make_environment_spec(environment)
    policy = builder.make_policy(builder.make_networks(spec, seed=0))
    actor = builder.make_actor(policy, seed=5)
    seen = set()
    for _ in range(12):
        timestep, actions = environment.reset(), []
        actor.observe_first(timestep)
        while not timestep.last():
            actions.append(actor.select_action(timestep.observation)[0])
            # An action's angle tells the skill.
            assert round(float(actions[-1]) / 0.8) + 1 == actor.agent_action
            timestep = environment.step(np.array(actions[-1:]))
        skills = np.round(np.array(actions) / 0.8) + 1
        for start in (0, 3, 6):
            assert len(set(skills[start : start + 3])) == 1
            assert len(set(actions[start : start + 3])) == min(3, 8 - start)
        seen.update(skills[::3])
    assert seen == {0, 1, 2}


def test_evaluation_begins_a_decision_with_each_episode():
    builder, environment = _cat(skill_steps=5), fakes.MatchingTask(seed=1)
    spec = acme_specs.make_environment_spec(environment)
    policy = builder.make_policy(builder.make_networks(spec, 0), evaluation=True)
    skills = []

    class Watched(fakes.MatchingTask):
        def step(self, action):
            skills.append(round(float(action[0]) / 0.8) + 1)
            return super().step(action)

    evaluation_episodes.run_episodes(
        Watched(seed=0), builder.make_actor(policy, 3), 20, 0
    )
    episodes = np.reshape(skills, [20, 8])
    assert (episodes[:, :5] == episodes[:, :1]).all()
    assert (episodes[:, 5:] == episodes[:, 5:6]).all()
    assert (episodes[:, 0] != episodes[:, 5]).any()


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """model -> a bundle of untrained skills, with 3 skills whose prior is not even."""
    root, found = tmp_path_factory.mktemp("bundles"), {}
    helms = HelmsConfig(num_skills=3, latent_dim=2, look_ahead=1, hidden_sizes=(8,))
    for name, config in (("helms", helms), ("npmp", "npmp")):
        networks = offline_models.make_model(config).networks
        if name == "helms":
            logits = np.random.default_rng(2).normal(size=(3, 3), scale=2.0)
            networks.prior_logits.assign(logits)
        registry.save_bundle(
            root / name, networks, {"proprio": ["a"], "objects": ["b"]}
        )
        found[name] = registry.load_bundle(root / name)
    return found


_POINT = {"proprio": (3,), "objects": (2,)}
_POINT_SPEC = acme_specs.EnvironmentSpec(
    {k: acme_specs.Array(shape, np.float32) for k, shape in _POINT.items()},
    acme_specs.BoundedArray((2,), np.float32, -1.0, 1.0),
    acme_specs.Array((), np.float32),
    acme_specs.BoundedArray((), np.float32, 0.0, 1.0),
)


def _builder(name, frozen, **settings):
    agent = AGENTS[name]
    config = agent.config_type(**{**_SMALL, **settings})
    return agent.builder(config, frozen[agent.model])


def _states(rng, *leading):
    return {
        key: tf.constant(rng.normal(size=(*leading, *shape)), tf.float32)
        for key, shape in _POINT.items()
    }


@pytest.mark.parametrize("greedy", [False, True])
def test_helms_mix_holds_the_component_and_draws_z_at_every_step(frozen, greedy):
    builder = _builder(
        "helms_mix",
        frozen,
        skill_steps=4,
        components="frozen",
        evaluation="greedy" if greedy else "sampled",
    )
    networks = builder.make_networks(_POINT_SPEC, seed=0)
    policy = builder.make_policy(networks, evaluation=True)
    rng, rows = np.random.default_rng(0), 3000
    observation = _states(rng, rows)
    held = tf.constant(rng.integers(3, size=rows), tf.int32)
    anew = tf.constant(rng.uniform(size=rows) < 0.5)
    decision = policy(observation, tf.constant([1, 2]), Held(held, anew))
    fresh = policy(observation, tf.constant([1, 2]))
    np.testing.assert_array_equal(decision.held, np.where(anew, fresh.held, held))
    mean, stddev = frozen["helms"].mid_level_of(decision.held, observation)
    noise = ((decision.agent_action - mean) / stddev).numpy()
    if greedy:
        np.testing.assert_allclose(noise, 0.0, atol=1e-5)
    else:
        np.testing.assert_allclose(noise[~anew.numpy()].mean(axis=0), 0.0, atol=0.1)
        np.testing.assert_allclose(noise[~anew.numpy()].std(axis=0), 1.0, atol=0.1)
    actions = frozen["helms"].low_level(decision.agent_action, observation)
    np.testing.assert_allclose(decision.environment_action, actions, atol=1e-6)


def test_npmp_holds_the_latent_and_decodes_it_at_every_step(frozen):
    builder = _builder("npmp", frozen, skill_steps=3)
    networks = builder.make_networks(_POINT_SPEC, seed=0)
    actor = builder.make_actor(builder.make_policy(networks), seed=4)
    rng, latents = np.random.default_rng(0), []
    for _ in range(9):
        observation = {k: v.numpy() for k, v in _states(rng).items()}
        action = actor.select_action(observation)
        latents.append(actor.agent_action)
        expected = frozen["npmp"].low_level(tf.constant(latents[-1]), observation)
        np.testing.assert_allclose(action, expected, atol=1e-5)
    assert [len({tuple(z) for z in latents[i : i + 3]}) for i in (0, 3, 6)] == [1, 1, 1]
    assert len({tuple(z) for z in latents}) == 3


def test_replay_has_the_component_and_the_one_before(frozen):
    builder = _builder("helms_mix", frozen, skill_steps=3, skill_prior="transition")
    networks = builder.make_networks(_POINT_SPEC, seed=0)
    adder = _Adder()
    runner = BatchedPolicy(builder.make_policy(networks), seed=4)
    actor = BatchedActor(runner, 0, adder, _GAMMA, stores_skills=True)
    rng = np.random.default_rng(0)
    for _ in range(2):
        adder.rows.clear()
        skills, latents = [], []
        timestep = dm_env.restart({k: v.numpy() for k, v in _states(rng).items()})
        actor.observe_first(timestep)
        for step in range(14):
            action = actor.select_action(timestep.observation)
            skills.append(runner._decision.held[0])
            latents.append(runner._decision.agent_action[0])
            make = dm_env.truncation if step == 13 else dm_env.transition
            state = {k: v.numpy() for k, v in _states(rng).items()}
            timestep = make(np.float32(0.0), state, np.float32(1.0))
            actor.observe(action, timestep)
        assert len(adder.rows) == 5  # of 3, 3, 3, 3 and 2 steps
        extras = [extras for _, _, extras in adder.rows]
        assert [e["skill"] for e in extras] == skills[::3]
        assert [e["previous_skill"] for e in extras] == [NO_SKILL, *skills[:-3:3]]
        for row, t in zip(adder.rows, range(0, 14, 3), strict=True):
            np.testing.assert_array_equal(row[0], latents[t])
        assert not np.array_equal(latents[0], latents[1])


@pytest.mark.parametrize("name", ["helms_cat", "helms_mix"])
@pytest.mark.parametrize("burn_in", [False, True])
def test_the_transition_prior_is_that_of_the_last_decision(name, burn_in, frozen):
    """The learner's KL against a loop over rows, final observations among them."""
    builder = _builder(
        name, frozen, skill_prior="transition", eta_y=0.7, burn_in=burn_in
    )
    networks = builder.make_networks(_POINT_SPEC, seed=0)
    rng, batch, time = np.random.default_rng(4), 4, 5
    skills = rng.integers(3, size=(batch, time + 1)).astype(np.int32)
    skills[0, 0] = NO_SKILL  # this sequence begins its episode
    start = np.zeros([batch, time], bool)
    start[0, 0] = True
    valid = np.ones([batch, time], np.float32)
    valid[1, 3:] = 0.0  # an episode that ended after three decisions
    latent = skills[:, 1:]
    if name == "helms_mix":
        latent = rng.normal(size=(batch, time, 2)).astype(np.float32)
    padded = [np.where(valid > 0, s, 0) for s in (skills[:, 1:], skills[:, :-1])]
    data = types.SimpleNamespace(
        observation=_states(rng, batch, time),
        action=tf.constant(latent),
        reward=tf.zeros([batch, time]),
        discount=tf.ones([batch, time]),
        start_of_episode=tf.constant(start),
        extras={
            "valid": tf.constant(valid),
            "skill": tf.constant(padded[0], tf.int32),
            "previous_skill": tf.constant(padded[1], tf.int32),
        },
    )
    # Away from the target, so that the policy is not uniform.
    for variable in networks.policy.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape).astype(np.float32))
    learner = builder.make_learner(networks, iter(()))
    sample = reverb.ReplaySample(info=(), data=data)
    _, stats = learner.gradients(sample, tf.constant([0, 1]))

    output = networks.policy(data.observation)
    logits = (output if name == "helms_cat" else output.logits).numpy()
    prior = np.vstack([np.full(3, 1 / 3), frozen["helms"].transition_matrix()])
    total = []
    for b in range(batch):
        for t in range(time):
            observed = valid[b, t] or (t > 0 and valid[b, t - 1])
            warm = not burn_in or t >= 2 or start[b, 0]
            if observed and warm:
                p = np.exp(logits[b, t]) / np.exp(logits[b, t]).sum()
                q = prior[1 + skills[b, t]]  # skills has y_{t-1} at t
                total.append(np.sum(p * np.log(p / q)))
    key = "loss_prior" if name == "helms_cat" else "loss_prior_categorical"
    np.testing.assert_allclose(stats[key], 0.7 * np.mean(total), rtol=1e-4)


@pytest.mark.parametrize("name", ["helms_cat", "helms_mix"])
def test_skills_without_a_transition_prior_are_refused(name, tmp_path):
    config = HelmsConfig(
        num_skills=1,
        latent_dim=2,
        look_ahead=1,
        hidden_sizes=(8,),
        variant="continuous",
    )
    networks = offline_models.make_model(config).networks
    registry.save_bundle(tmp_path / "s", networks, {"proprio": ["a"], "objects": ["b"]})
    one = {"helms": registry.load_bundle(tmp_path / "s")}
    _builder(name, one)
    with pytest.raises(ValueError, match="transition prior.*continuous"):
        _builder(name, one, skill_prior="transition")


@pytest.mark.parametrize(
    ("skill_steps", "length", "period"), [(1, 5, 4), (2, 5, 4), (3, 4, 2), (7, 3, 2)]
)
def test_the_learner_never_counts_on_sequences_that_are_not_there(
    skill_steps, length, period
):
    builder = _cat(
        skill_steps=skill_steps,
        sequence_length=length,
        sequence_period=period,
        samples_per_insert=1.0,
        batch_size=1,
    )
    environment = fakes.MatchingTask(seed=1)
    spec = acme_specs.make_environment_spec(environment)
    server = reverb.Server(builder.make_replay_tables(spec, limit_rate=False))
    client = reverb.Client(f"localhost:{server.port}")
    policy = builder.make_policy(builder.make_networks(spec, seed=0))
    actor = builder.make_actor(policy, 0, builder.make_adder(client))
    stored = 0
    for episode in range(1, 13):
        timestep = environment.reset()
        actor.observe_first(timestep)
        while not timestep.last():
            action = actor.select_action(timestep.observation)
            timestep = environment.step(action)
            actor.observe(action, timestep)
        stored += builder.steps_stored(8)
        found = client.server_info()[TABLE].current_size
        decisions = math.ceil(8 / skill_steps)
        assert found == episode * max(
            1, math.ceil((decisions + 1 - length) / period) + 1
        )
        # One pays for a step, but for the first and those that may be on the way.
        assert builder.learner_steps_due(stored) <= max(0, found - 1)
        if skill_steps > 1:
            assert builder.learner_steps_due(stored) == max(0, found - 4 - 1)
    sample = next(builder.make_dataset_iterator(client)).data
    assert sample.action.shape == (1, length)
    del actor  # the server waits for its adder's stream
    server.stop()
