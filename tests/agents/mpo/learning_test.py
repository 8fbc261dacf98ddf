"""The MPO learner on batches made by hand: what it trains, NaN, checkpoints."""

import itertools

import numpy as np
import pytest
import reverb
import tensorflow as tf
from acme import specs
from acme.adders.reverb import base
from acme.utils import counting

from agents.helms_cat.config import HelmsCatConfig
from agents.mpo import learner_checkpoints
from tests.helpers import fakes

_SMALL = {
    **fakes.TINY_NETWORKS,
    "batch_size": 8,
    "sequence_length": 4,
    "sequence_period": 3,
    "learning_rate": 3e-3,
    "target_policy_update_period": 3,
    "target_critic_update_period": 5,
}


def _batch(seed=0, reward=None, batch=8, time=4):
    rng = np.random.default_rng(seed)
    symbol = rng.integers(fakes.NUM_SKILLS, size=(batch, time))
    action = rng.integers(fakes.NUM_SKILLS, size=(batch, time)).astype(np.int32)
    if reward is None:
        reward = (action == symbol).astype(np.float32)
    data = base.Trajectory(
        observation={
            "proprio": rng.normal(size=(batch, time, 2)).astype(np.float32),
            "objects": np.eye(fakes.NUM_SKILLS, dtype=np.float32)[symbol],
        },
        action=action,
        reward=reward,
        discount=np.ones((batch, time), np.float32),
        start_of_episode=np.zeros((batch, time), bool),
        extras={"valid": np.ones((batch, time), np.float32)},
    )
    data = tf.nest.map_structure(tf.constant, data)
    return reverb.ReplaySample(info=(), data=data)


def _learner(batches=None, directory=None, seed=0, **overrides):
    config = HelmsCatConfig(**{**_SMALL, **overrides})
    builder = fakes.make_builder(config)
    spec = specs.make_environment_spec(fakes.MatchingTask(seed=0))
    networks = builder.make_networks(spec, seed=seed)
    dataset = batches if batches is not None else map(_batch, itertools.count())
    counter = counting.Counter(prefix="learner")
    return (
        builder.make_learner(
            networks, iter(dataset), directory=directory, counter=counter
        ),
        networks,
    )


def _values(module):
    return [v.numpy() for v in module.variables]


def _equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_learns_which_action_pays():
    learner, networks = _learner(discount=0.0, batch_size=8)
    for _ in range(300):
        learner.step()
    observation = {"proprio": tf.zeros([1, 3, 2]), "objects": tf.eye(3)[None]}
    probabilities = tf.nn.softmax(networks.policy(observation))[0].numpy()
    assert (np.argmax(probabilities, axis=-1) == [0, 1, 2]).all()
    assert np.diag(probabilities).min() > 0.6
    q_values = networks.critic(observation)[0].numpy()
    assert (np.argmax(q_values, axis=-1) == [0, 1, 2]).all()


@pytest.mark.usefixtures("eagerly")
def test_targets_follow_their_own_periods():
    learner, networks = _learner()
    policies, critics = [], []
    for _ in range(6):
        policies.append(_values(networks.target_policy))
        critics.append(_values(networks.target_critic))
        learner.step()
    policies.append(_values(networks.target_policy))
    critics.append(_values(networks.target_critic))
    changed = [not _equal(a, b) for a, b in itertools.pairwise(policies)]
    assert changed == [False, False, True, False, False, True]
    changed = [not _equal(a, b) for a, b in itertools.pairwise(critics)]
    assert changed == [False, False, False, False, True, False]


@pytest.mark.usefixtures("eagerly")
def test_polyak_targets_are_the_running_mean():
    """After every step, t <- (1 - rate) t + rate x, as a loop in float64 has it."""
    rate = 0.25
    learner, networks = _learner(target_update="polyak", target_update_rate=rate)
    pairs = (
        (networks.policy, networks.target_policy),
        (networks.critic, networks.target_critic),
    )
    expected = [[v.astype(np.float64) for v in _values(t)] for _, t in pairs]
    for _ in range(4):
        learner.step()
        for means, (online, target) in zip(expected, pairs, strict=True):
            for i, value in enumerate(_values(online)):
                means[i] = (1 - rate) * means[i] + rate * value
            for a, b in zip(means, _values(target), strict=True):
                np.testing.assert_allclose(a, b, atol=1e-6)
            assert not _equal(_values(online), _values(target))


@pytest.mark.usefixtures("eagerly")
def test_the_critic_warms_up_alone():
    learner, networks = _learner(critic_warmup_steps=3)
    parts = {
        "policy": networks.policy,
        "target_policy": networks.target_policy,
        "duals": learner._policy_loss,
        "critic": networks.critic,
        "target_critic": networks.target_critic,
    }
    moved: dict[str, list] = {name: [] for name in parts}
    for _ in range(6):
        before = {name: _values(part) for name, part in parts.items()}
        learner.step()
        for name, part in parts.items():
            moved[name].append(not _equal(before[name], _values(part)))
    assert moved == {
        "policy": [False] * 3 + [True] * 3,
        "target_policy": [False] * 5 + [True],
        "duals": [True] * 6,
        "critic": [True] * 6,
        "target_critic": [False, False, False, False, True, False],
    }
    # The first step after it is the first that the optimisers see.
    assert int(learner._policy_optimizer.step) == 3
    assert int(learner._dual_optimizer.step) == 3


@pytest.mark.usefixtures("eagerly")
def test_the_temperature_follows_a_warming_critic():
    """It alone of the duals moves, as Adam on its own gradient would move it."""
    learner, _ = _learner(critic_warmup_steps=40, epsilon=0.05)
    policy_loss = learner._policy_loss
    before = {v.name: v.numpy() for v in policy_loss.variables}
    learner.step()
    for variable in policy_loss.variables:
        moved = np.abs(variable.numpy() - before[variable.name])
        rate = learner._config.dual_learning_rate
        expected = rate if variable is policy_loss.log_temperature else 0.0
        np.testing.assert_allclose(moved, expected, rtol=1e-3)


@pytest.mark.usefixtures("eagerly")
def test_the_policy_has_a_learning_rate_of_its_own():
    """Adam's first step moves each weight by its rate, whatever the gradient."""
    learner, networks = _learner(policy_learning_rate=1e-3, learning_rate=4e-3)
    parts = {1e-3: networks.policy, 4e-3: networks.critic}
    before = {rate: _values(part) for rate, part in parts.items()}
    learner.step()
    for rate, part in parts.items():
        pairs = zip(before[rate], _values(part), strict=True)
        largest = max(np.abs(a - b).max() for a, b in pairs)
        np.testing.assert_allclose(largest, rate, rtol=1e-2)


def test_equal_seeds_give_equal_networks():
    _, first = _learner(seed=3)
    tf.random.normal([5])  # what was drawn before must not matter
    _, second = _learner(seed=3)
    _, other = _learner(seed=4)
    assert _equal(_values(first.policy), _values(second.policy))
    assert _equal(_values(first.critic), _values(second.critic))
    assert not _equal(_values(first.policy), _values(other.policy))
    assert _equal(_values(first.policy), _values(first.target_policy))


@pytest.mark.usefixtures("eagerly")
def test_rows_of_the_burn_in_only_warm_the_state():
    """Rewards of rows that the sequence before has trained teach nothing here."""

    def outcome(start, fill, **overrides):
        sample = _batch()
        reward = sample.data.reward.numpy()
        reward[:, 0] = fill
        flags = np.zeros_like(reward, bool)
        flags[:, 0] = start
        data = sample.data._replace(
            reward=tf.constant(reward), start_of_episode=tf.constant(flags)
        )
        batch = reverb.ReplaySample(info=(), data=data)
        learner, networks = _learner([batch], sequence_period=2, **overrides)
        learner.step()
        return _values(networks.critic)

    assert _equal(outcome(False, 0.0), outcome(False, 7.0))
    # But the first rows of an episode are trained in no sequence before.
    assert not _equal(outcome(True, 0.0), outcome(True, 7.0))
    for without in ({"burn_in": False}, {"critic_rnn_size": 0}):
        assert not _equal(
            outcome(False, 0.0, **without), outcome(False, 7.0, **without)
        )


@pytest.mark.usefixtures("eagerly")
def test_padding_teaches_nothing():
    """Rows after the final observation may hold anything."""

    def padded(fill):
        sample = _batch()
        keep = tf.constant([[1.0, 1.0, 0.0, 0.0]] * 8)
        real = np.array([1, 1, 1, 0], bool)  # row 2 is the final observation
        data = sample.data
        observation = {
            k: tf.where(real[None, :, None], v, fill)
            for k, v in data.observation.items()
        }
        reward = tf.where(keep > 0, data.reward, fill)
        data = data._replace(
            observation=observation, reward=reward, extras={"valid": keep}
        )
        return reverb.ReplaySample(info=(), data=data)

    outcomes = []
    for fill in (0.0, 7.0):
        learner, networks = _learner([padded(fill)] * 3)
        for _ in range(3):
            learner.step()
        outcomes.append(_values(networks.policy) + _values(networks.critic))
    for a, b in zip(*outcomes, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_nan_changes_nothing_and_raises(tmp_path):
    good, bad = _batch(), _batch(reward=np.full((8, 4), np.nan, np.float32))
    learner, networks = _learner([good, bad, good], directory=str(tmp_path))
    learner.step()
    before = [_values(m) for m in (networks.policy, networks.critic)]
    with pytest.raises(FloatingPointError, match="learner step 2 .*loss_critic"):
        learner.step()
    after = [_values(m) for m in (networks.policy, networks.critic)]
    assert all(_equal(a, b) for a, b in zip(before, after, strict=True))
    learner.save_checkpoint()
    resumed, restored = _learner(directory=str(tmp_path), seed=9)
    assert resumed.num_steps == 1
    assert all(np.isfinite(v).all() for v in _values(restored.critic))


@pytest.mark.usefixtures("eagerly")
def test_resumes_everything(tmp_path):
    batches = [_batch(i) for i in range(8)]
    straight, expected = _learner(batches)
    for _ in range(8):
        straight.step()

    first, _ = _learner(batches[:4], directory=str(tmp_path))
    for _ in range(4):
        first.step()
    first.save_checkpoint()
    second, networks = _learner(batches[4:], directory=str(tmp_path), seed=7)
    assert second.num_steps == 4
    for _ in range(4):
        second.step()
    # Optimisers, duals, targets and step counts, or these would differ.
    for name in ("policy", "critic", "target_policy", "target_critic"):
        for a, b in zip(
            _values(getattr(expected, name)),
            _values(getattr(networks, name)),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, atol=1e-6)
    assert second.num_steps == 8


def test_get_variables_by_name():
    learner, networks = _learner()
    (policy,) = learner.get_variables(["policy"])
    assert _equal(policy, _values(networks.policy))
    with pytest.raises(ValueError, match=r"no variables \['actor'\]"):
        learner.get_variables(["actor"])


@pytest.mark.usefixtures("eagerly")
def test_restore_policy(tmp_path):
    learner, networks = _learner(directory=str(tmp_path))
    learner.step()
    learner.save_checkpoint()
    _, other = _learner(seed=5)
    assert learner_checkpoints.restore_policy(other.policy, str(tmp_path)) == 1
    assert _equal(_values(networks.policy), _values(other.policy))
    _, wider = _learner(policy_hidden_sizes=(17,))
    with pytest.raises(ValueError, match="of another model"):
        learner_checkpoints.restore_policy(wider.policy, str(tmp_path))
    with pytest.raises(ValueError, match="no checkpoint in"):
        learner_checkpoints.restore_policy(other.policy, str(tmp_path / "empty"))
