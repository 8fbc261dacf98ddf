"""The learner evaluates rows that train; a reference evaluates all and masks."""

import itertools

import numpy as np
import pytest
import reverb
import tensorflow as tf
from acme import specs
from acme.adders.reverb import base

from agents import registry
from agents.distributions.policies import Gaussian
from agents.mpo.rows import Rows
from agents.networks import SequenceLSTM
from agents.offline.frozen import FrozenModel
from agents.registry import AGENTS
from tests.helpers import fakes, offline_models

_BATCH, _TIME, _DISCOUNT = 7, 10, 0.9
_SEED = tf.constant([3, 4])
_OBSERVATIONS = {"proprio": 3, "objects": 2}
_SPEC = specs.EnvironmentSpec(
    observations={k: specs.Array((n,), np.float32) for k, n in _OBSERVATIONS.items()},
    actions=specs.BoundedArray((2,), np.float32, -1.0, 1.0),
    rewards=specs.Array((), np.float32),
    discounts=specs.BoundedArray((), np.float32, 0.0, 1.0),
)
# Sequences: in mid-episode; begins one; a time limit; terminates; begins and ends; ends
# before burn-in does; holds nothing.
_LENGTHS = [10, 10, 7, 6, 3, 2, 0]
_BEGINS = [False, True, False, False, True, False, False]
_TERMINATES = [False, False, False, True, True, False, False]


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """model -> its frozen bundle, untrained."""
    root = tmp_path_factory.mktemp("bundles")
    found: dict[str | None, FrozenModel | None] = {None: None}
    for model in ("helms", "npmp"):
        networks = offline_models.make_model(model).networks
        registry.save_bundle(
            root / model, networks, {"proprio": ["a"], "objects": ["b"]}
        )
        found[model] = registry.load_bundle(root / model)
    return found


def _sample(builder):
    rng = np.random.default_rng(0)
    shape = (_BATCH, _TIME)
    spec = builder.agent_action_spec(_SPEC)
    if np.issubdtype(spec.dtype, np.integer):
        action = rng.integers(spec.num_values, size=shape).astype(np.int32)
    else:
        action = rng.normal(size=(*shape, *spec.shape)).astype(np.float32)
    valid = np.arange(_TIME) < np.array(_LENGTHS)[:, None]
    discount, start = np.ones(shape, np.float32), np.zeros(shape, bool)
    for row in range(_BATCH):
        start[row, 0] = _BEGINS[row]
        if _TERMINATES[row]:
            discount[row, _LENGTHS[row] - 1] = 0.0
    data = base.Trajectory(
        observation={
            key: rng.normal(size=(*shape, size)).astype(np.float32)
            for key, size in _OBSERVATIONS.items()
        },
        action=action,
        reward=rng.normal(size=shape).astype(np.float32),
        discount=discount,
        start_of_episode=start,
        extras={"valid": valid.astype(np.float32)},
    )
    return reverb.ReplaySample(info=(), data=tf.nest.map_structure(tf.constant, data))


def _masks(burn_in):
    """1 in states that the policy learns in, and in transitions of the critic."""
    states, transitions = np.zeros((2, _BATCH, _TIME), np.float32)
    for row, (length, begins) in enumerate(zip(_LENGTHS, _BEGINS, strict=True)):
        for t in range(0 if begins else burn_in, _TIME):
            states[row, t] = length > 0 and t <= length
            transitions[row, t] = t < length and t < _TIME - 1
    return states, transitions


def _features(critic, observation):
    """All rows of a critic's, the LSTM by Sonnet, a step after the other."""
    features = critic._representation(observation)
    if critic._rnn is not None:
        state, outputs = critic._rnn.initial_state(_BATCH), []
        for t in range(_TIME):
            output, state = critic._rnn(features[:, t], state)
            outputs.append(output)
        features = tf.stack(outputs, axis=1)
    return features


def _values(critic, features, actions):
    if actions is None:
        return critic.values(critic._torso(features))
    return tf.stack([critic.value(features, action) for action in actions])


def _prior(name, model, data):
    if name == "helms_mix":
        return model.mid_level(data.observation)
    if name == "npmp":
        mean, stddev = np.zeros(data.action.shape), np.ones(data.action.shape)
        mean[:, 1:] = model.prior_coefficient * data.action[:, :-1]
        stddev[:, 1:] = model.prior_stddev
        return Gaussian(tf.constant(mean, tf.float32), tf.constant(stddev, tf.float32))
    return None


def _mean(values, mask):
    return tf.reduce_sum(values * mask) / mask.sum()


def _returns(data, next_value, n_step):
    """Targets [B, T] of all transitions, row by row; 0 elsewhere."""
    returns = np.zeros((_BATCH, _TIME), np.float32)
    for row, length in enumerate(_LENGTHS):
        for t in range(min(length, _TIME - 1)):
            end, weight = min(t + n_step, length, _TIME - 1), 1.0
            for step in range(t, end):
                returns[row, t] += weight * data.reward[row, step]
                weight *= _DISCOUNT * float(data.discount[row, step])
            returns[row, t] += weight * next_value[row, end]
    return returns


def _reference(name, config, networks, loss_fn, model, data):
    """Losses, and the gradients of policy, critic and duals, from all rows."""
    states, transitions = _masks(config.burn_in_steps)
    target = networks.target_policy(data.observation)
    actions = None
    if name != "helms_cat":
        actions = target.sample(config.num_samples, _SEED)
    features = _features(networks.target_critic, data.observation)
    values = _values(networks.target_critic, features, actions)
    if actions is None:
        next_value = tf.reduce_sum(tf.nn.softmax(target) * values, axis=-1)
    else:
        next_value = tf.reduce_mean(values, axis=0)
    returns = _returns(data, next_value.numpy(), config.n_step)
    with tf.GradientTape() as tape:
        features = _features(networks.critic, data.observation)
        if actions is None:
            value = tf.gather(
                _values(networks.critic, features, None), data.action, batch_dims=2
            )
        else:
            value = networks.critic.value(features, data.action)
        error = returns - value
        critic_loss = _mean(0.5 * tf.square(error), transitions)
    critic = tape.gradient(critic_loss, networks.critic.trainable_variables)
    if config.improvement_critic == "online":
        values = _values(networks.critic, features, actions)
    with tf.GradientTape() as tape:
        loss, _ = loss_fn(
            networks.policy(data.observation),
            target,
            actions,
            values,
            _prior(name, model, data),
        )
        policy_loss = _mean(loss, states)
    policy, dual = tape.gradient(
        policy_loss, [networks.policy.trainable_variables, loss_fn.trainable_variables]
    )
    return critic_loss, policy_loss, [policy, critic, dual]


@pytest.mark.parametrize(
    ("rnn_size", "burn_in", "n_step"), [(8, True, 3), (8, False, 1), (0, True, 1)]
)
@pytest.mark.parametrize("improvement_critic", ["online", "target"])
@pytest.mark.parametrize("name", ["helms_cat", "helms_mix", "npmp", "mpo"])
def test_losses_and_gradients_are_those_of_all_rows(
    name, improvement_critic, n_step, burn_in, rnn_size, frozen
):
    agent = AGENTS[name]
    config = agent.config_type(
        **{
            **fakes.TINY_NETWORKS,
            "critic_hidden_sizes": (16, 12),
            "critic_rnn_size": rnn_size,
            "burn_in": burn_in,
            "n_step": n_step,
            "improvement_critic": improvement_critic,
            "discount": _DISCOUNT,
            "max_gradient_norm": 1e9,
        }
    )
    assert config.burn_in_steps == (4 if burn_in and rnn_size else 0)
    model = frozen[agent.model]
    builder = agent.builder(config, model)
    networks = builder.make_networks(_SPEC, seed=0)
    rng = np.random.default_rng(1)
    for module in (networks.policy, networks.critic):
        for variable in module.trainable_variables:  # so that online is not target
            variable.assign_add(rng.normal(scale=0.1, size=variable.shape))
    sample = _sample(builder)
    learner = builder.make_learner(networks, itertools.repeat(sample))
    gradients, stats = learner.gradients(sample, _SEED)
    critic_loss, policy_loss, expected = _reference(
        name, config, networks, builder.make_policy_loss(networks), model, sample.data
    )
    np.testing.assert_allclose(stats["loss_critic"], critic_loss, rtol=1e-5)
    np.testing.assert_allclose(stats["loss_policy_total"], policy_loss, rtol=1e-5)
    for mine, theirs in zip(gradients, expected, strict=True):
        assert max(np.abs(g).max() for g in theirs) > 1e-3
        for a, b in zip(mine, theirs, strict=True):
            scale = np.abs(b).max()
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * scale + 1e-8)


@pytest.mark.usefixtures("eagerly")
def test_rows_of_nothing_train_nothing(frozen):
    builder = AGENTS["helms_mix"].builder(
        AGENTS["helms_mix"].config_type(**fakes.TINY_NETWORKS), frozen["helms"]
    )
    sample = _sample(builder)
    empty = sample.data._replace(extras={"valid": tf.zeros([_BATCH, _TIME])})
    networks = builder.make_networks(_SPEC, seed=0)
    learner = builder.make_learner(
        networks, itertools.repeat(sample._replace(data=empty))
    )
    before = [v.numpy() for v in networks.critic.variables]
    learner.step()
    for a, b in zip(before, networks.critic.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_takes_and_puts_back():
    mask = tf.constant([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    rows = Rows.where(mask)
    values = tf.reshape(tf.range(6), [2, 3])
    assert rows.take(values).numpy().tolist() == [1, 2, 3]
    assert rows.put(rows.take(values)).numpy().tolist() == [[0, 1, 2], [3, 0, 0]]
    samples = tf.reshape(tf.range(24), [2, 2, 3, 2])
    expected = samples.numpy().reshape(2, 6, 2)[:, [1, 2, 3]]
    np.testing.assert_array_equal(rows.take(samples, axis=1), expected)


@pytest.mark.parametrize("size", [8, 256])  # 256: its gates are padded
def test_the_lstm_is_sonnets(size):
    rng = np.random.default_rng(0)
    lstm = SequenceLSTM(size)
    inputs = tf.constant(rng.normal(size=(3, 4, 5)), tf.float32)
    lstm.unroll(inputs)
    lstm.b.assign(rng.normal(size=lstm.b.shape))
    weights = tf.constant(rng.normal(size=(3, 4, size)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        actual = lstm.unroll(inputs)
        state, outputs = lstm.initial_state(3), []
        for t in range(4):
            output, state = lstm(inputs[:, t], state)
            outputs.append(output)
        expected = tf.stack(outputs, axis=1)
        sums = [tf.reduce_sum(weights * x) for x in (actual, expected)]
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    mine, theirs = (tape.gradient(s, lstm.trainable_variables) for s in sums)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
