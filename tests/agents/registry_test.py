"""Every RL agent over small frozen models, through a real Reverb server."""

import dataclasses
import types

import numpy as np
import pytest
import reverb
import scipy.stats
import tensorflow as tf
from acme import EnvironmentLoop
from acme.utils import loggers

from agents import registry
from agents.npmp.config import NpmpConfig
from agents.offline.frozen import FrozenModel
from agents.registry import AGENTS
from tests.helpers import offline_models, point_task

_ON_STATE = [name for name, agent in AGENTS.items() if not agent.vision_only]


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """model -> its frozen bundle, untrained."""
    return point_task.bundles(tmp_path_factory.mktemp("bundles"))


def _values(variables):
    return [v.numpy() for v in variables]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow)
        if name in ("npmp", "hierarchical_bc")
        else name
        for name in _ON_STATE
    ],
)
@pytest.mark.usefixtures("eagerly_but_helms")
def test_acts_stores_and_learns(name, frozen):
    builder = point_task.make_builder(name, frozen)
    server = reverb.Server(builder.make_replay_tables(point_task.SPEC), port=None)
    client = reverb.Client(f"localhost:{server.port}")
    networks = builder.make_networks(point_task.SPEC, seed=0)
    actor = builder.make_actor(
        builder.make_policy(networks), 3, builder.make_adder(client)
    )
    loop = EnvironmentLoop(point_task.PointTask(), actor, logger=loggers.NoOpLogger())
    loop.run(num_episodes=2)

    dataset = builder.make_dataset_iterator(client)
    stored = next(dataset).data.action
    spec = builder.agent_action_spec(point_task.SPEC)
    assert stored.shape == (8, 5, *spec.shape) and stored.dtype == spec.dtype

    model = frozen[AGENTS[name].model]
    kept = [] if model is None else _values(model.variables)
    learned = builder.make_policy(networks).learned_variables
    before = _values(learned)
    learner = builder.make_learner(networks, dataset)
    for _ in range(3):
        learner.step()
    after = _values(learned)
    moved = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert any(moved)
    if model is not None:
        now = _values(model.variables)
        assert all(np.array_equal(a, b) for a, b in zip(kept, now, strict=True))
    del actor, loop, dataset, learner  # the server waits for their streams
    server.stop()


@pytest.mark.parametrize(
    "name",
    [
        name if name == "helms_mix" else pytest.param(name, marks=pytest.mark.slow)
        for name in _ON_STATE
    ],
)
@pytest.mark.usefixtures("eagerly")
def test_resumes_as_if_it_had_run_through(name, frozen, tmp_path):
    builder = point_task.make_builder(name, frozen, target_policy_update_period=2)
    rng = np.random.default_rng(0)
    batches = [point_task.sequence(builder, rng) for _ in range(4)]

    def learner(some, directory=None):
        networks = builder.make_networks(point_task.SPEC, seed=0)
        made = builder.make_learner(networks, iter(some), directory=directory)
        for _ in some:
            made.step()
        made.save_checkpoint()
        return networks

    straight = learner(batches)
    learner(batches[:2], str(tmp_path))
    resumed = learner(batches[2:], str(tmp_path))
    for part in ("policy", "critic", "target_policy", "target_critic"):
        pairs = zip(
            _values(getattr(straight, part).variables),
            _values(getattr(resumed, part).variables),
            strict=True,
        )
        for a, b in pairs:
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", ["bc", "hierarchical_bc"])
def test_a_fine_tuned_clone_starts_as_the_clone(name, frozen):
    builder = point_task.make_builder(name, frozen, evaluation="greedy")
    networks = builder.make_networks(point_task.SPEC, seed=0)
    actor = builder.make_actor(builder.make_policy(networks, evaluation=True), 0)
    observation = point_task.PointTask().reset().observation
    batched = {key: tf.constant(value[None]) for key, value in observation.items()}
    clone = frozen[name]
    if name == "bc":
        expected = clone.mean(batched)
    else:
        expected = clone.low_level(clone.latent(batched)[0], batched)
    np.testing.assert_allclose(actor.select_action(observation), expected[0], atol=1e-6)
    stddev = networks.policy(batched).stddev
    np.testing.assert_allclose(stddev, np.full((1, 2), 0.1), rtol=1e-5)


@pytest.fixture(scope="module")
def bernoulli(tmp_path_factory):
    """As `frozen`, of the clones, with a Bernoulli finger."""
    root = tmp_path_factory.mktemp("bernoulli")
    found: dict[str | None, FrozenModel | None] = {None: None}
    for model in ("bc", "hierarchical_bc"):
        config = dataclasses.replace(offline_models.CONFIGS[model], finger="bernoulli")
        networks = offline_models.make_model(config).networks
        registry.save_bundle(root / model, networks, point_task.GROUPS)
        found[model] = registry.load_bundle(root / model)
    return found


def _with_finger(name, bernoulli, **overrides):
    settings = {"finger": "bernoulli"} if name == "mpo" else {}
    return point_task.make_builder(name, bernoulli, **settings, **overrides)


@pytest.mark.parametrize("name", ["mpo", "bc", "hierarchical_bc"])
@pytest.mark.usefixtures("eagerly")
def test_a_bernoulli_finger_acts_and_learns(name, bernoulli):
    clone = {} if name == "mpo" else {"eta_clone": 0.3}
    builder = _with_finger(name, bernoulli, **clone)
    networks = builder.make_networks(point_task.SPEC, seed=0)
    observation = point_task.PointTask().reset().observation
    batched = {key: tf.constant(value[None]) for key, value in observation.items()}
    draws = networks.policy(batched).sample(400, tf.constant([0, 1])).numpy()
    assert set(np.unique(draws[..., 1])) == {-1.0, 1.0}
    # What JAX makes of the policy draws both signs, too.
    actor = builder.make_actor(builder.make_policy(networks), 3)
    fingers = [actor.select_action(observation)[1] for _ in range(40)]
    assert set(fingers) == {-1.0, 1.0}

    sample = point_task.sequence(builder, np.random.default_rng(0))
    before = _values(networks.policy.trainable_variables)
    learner = builder.make_learner(networks, iter([sample] * 3))
    _, stats = learner.gradients(sample, tf.constant([0, 1]))
    assert {"kl_finger", "loss_policy_finger", "alpha_finger"} <= set(stats)
    for _ in range(3):
        learner.step()
    for old, new in zip(
        before, _values(networks.policy.trainable_variables), strict=True
    ):
        assert not np.array_equal(old, new)


@pytest.mark.parametrize("name", ["bc", "hierarchical_bc"])
def test_a_clone_with_a_bernoulli_finger_starts_as_the_clone(name, bernoulli):
    builder = _with_finger(name, bernoulli, evaluation="greedy", eta_clone=0.3)
    networks = builder.make_networks(point_task.SPEC, seed=0)
    sample = point_task.sequence(builder, np.random.default_rng(0))
    found, clone = networks.policy(sample.data.observation), bernoulli[name]
    np.testing.assert_allclose(
        found.mean, clone.mean(sample.data.observation), atol=1e-6
    )
    assert found.gaussian.stddev.shape[-1] == 1
    np.testing.assert_allclose(found.gaussian.stddev, 0.1, rtol=1e-5)
    learner = builder.make_learner(networks, iter(()))
    _, stats = learner.gradients(sample, tf.constant([0, 1]))
    for key in ("kl_prior", "kl_prior_finger", "kl_finger"):
        np.testing.assert_allclose(stats[key], 0.0, atol=1e-6)
    actor = builder.make_actor(builder.make_policy(networks, evaluation=True), 0)
    observation = point_task.PointTask().reset().observation
    batched = {key: tf.constant(value[None]) for key, value in observation.items()}
    action, mean = actor.select_action(observation), clone.mean(batched)[0]
    np.testing.assert_allclose(action, [mean[0], np.sign(mean[1])], atol=1e-6)


@pytest.mark.parametrize("name", ["bc", "hierarchical_bc"])
def test_a_finger_that_contradicts_the_bundle_is_refused(name, frozen, bernoulli):
    message = "finger {} contradicts the bundle, whose finger is {}; valid with it: {}"
    for models, said, own in (
        (frozen, "bernoulli", "gaussian"),
        (bernoulli, "gaussian", "bernoulli"),
    ):
        assert point_task.make_builder(name, models, finger=own).finger == own
        with pytest.raises(ValueError, match=message.format(said, own, own)):
            point_task.make_builder(name, models, finger=said)


def test_demonstrations_have_the_sign_of_a_bernoulli_finger(bernoulli, frozen):
    action = np.array([[0.3, 0.2], [-0.4, -0.9], [0.5, 0.0]], np.float32)
    episode = types.SimpleNamespace(action=action)
    (found,) = _with_finger("mpo", bernoulli).demonstrated([episode])
    np.testing.assert_array_equal(found[:, 0], action[:, 0])
    np.testing.assert_array_equal(found[:, 1], [1, -1, -1])
    assert found.dtype == np.float32
    (found,) = point_task.make_builder("mpo", frozen).demonstrated([episode])
    np.testing.assert_array_equal(found, action)


@pytest.mark.parametrize("name", ["bc", "hierarchical_bc"])
def test_the_kl_to_the_clone(name, frozen):
    """By scipy's log densities: E_pi[log pi - log clone], which is in the loss."""
    eta = 0.3
    builder = point_task.make_builder(name, frozen, eta_clone=eta)
    networks = builder.make_networks(point_task.SPEC, seed=0)
    rng = np.random.default_rng(0)
    for variable in networks.policy.trainable_variables:
        variable.assign_add(rng.normal(scale=0.05, size=variable.shape))
    sample = point_task.sequence(builder, rng)
    learner = builder.make_learner(networks, iter(()))
    _, stats = learner.gradients(sample, tf.constant([0, 1]))
    observation = sample.data.observation
    mean, stddev = networks.policy(observation)
    clone = frozen[name]
    if name == "bc":
        clone_mean = clone.mean(observation)
    else:
        clone_mean = clone.low_level(clone.latent(observation)[0], observation)
    # Two points at mean +- stddev give a quadratic's expectation exactly.
    points = np.stack([mean + stddev, mean - stddev])
    log_ratio = scipy.stats.norm.logpdf(points, mean, stddev)
    log_ratio -= scipy.stats.norm.logpdf(points, clone_mean, clone.action_stddev)
    expected = log_ratio.mean(axis=0).sum(axis=-1).mean()
    assert expected > 0.01
    np.testing.assert_allclose(stats["kl_prior"], expected, rtol=1e-4)
    np.testing.assert_allclose(stats["loss_prior"], eta * expected, rtol=1e-4)


def test_mpo_from_scratch_learns(frozen):
    """On random actions in replay, of whose reward the best is at the point shown."""
    builder = point_task.make_builder(
        "mpo",
        frozen,
        batch_size=64,
        discount=0.0,
        critic_rnn_size=0,
        policy_hidden_sizes=(64,),
        critic_hidden_sizes=(64, 64),
        input_size=64,
        epsilon_mean=0.1,
        epsilon_stddev=1e-2,
        init_log_alpha_mean=1.0,
        init_log_alpha_stddev=10.0,
        init_log_temperature=0.0,
        target_policy_update_period=10,
        target_critic_update_period=10,
    )
    rng = np.random.default_rng(0)

    def batch():
        sample = point_task.sequence(builder, rng, batch=64)
        point = rng.uniform(-0.8, 0.8, size=(64, 5, 2)).astype(np.float32)
        action = rng.uniform(-1, 1, size=(64, 5, 2)).astype(np.float32)
        reward = 1.0 - np.linalg.norm(action - point, axis=-1)
        data = sample.data._replace(
            observation={**sample.data.observation, "objects": tf.constant(point)},
            action=tf.constant(action),
            reward=tf.constant(reward.astype(np.float32)),
        )
        return reverb.ReplaySample(info=(), data=data)

    networks = builder.make_networks(point_task.SPEC, seed=0)
    learner = builder.make_learner(networks, iter(batch, None))
    point = tf.constant(rng.uniform(-0.8, 0.8, size=(1, 50, 2)).astype(np.float32))
    observation = {"proprio": tf.ones([1, 50, 3]), "objects": point}

    def distance():
        return float(
            tf.reduce_mean(tf.norm(networks.policy(observation).mean - point, axis=-1))
        )

    before = distance()
    for _ in range(400):
        learner.step()
    assert distance() < 0.4 * before


@pytest.mark.parametrize(
    ("eta_z", "is_near"),
    [(10.0, True), pytest.param(0.0, False, marks=pytest.mark.slow)],
)
def test_the_kl_holds_npmp_near_its_prior(eta_z, is_near, tmp_path):
    config = NpmpConfig(latent_dim=2, look_ahead=1, hidden_sizes=(8,))
    path = tmp_path / "skills"
    registry.save_bundle(
        path, offline_models.make_model(config).networks, point_task.GROUPS
    )
    frozen = {"npmp": registry.load_bundle(path)}
    builder = point_task.make_builder(
        "npmp",
        frozen,
        eta_z=eta_z,
        init_stddev=0.3,
        learning_rate=0.02,
        init_log_alpha_stddev=-5.0,  # as good as no trust region
        epsilon_stddev=100.0,
    )
    batch = point_task.sequence(builder, np.random.default_rng(0))
    networks = builder.make_networks(point_task.SPEC, seed=0)
    learner = builder.make_learner(networks, iter([batch] * 60))
    for _ in range(60):
        learner.step()
    stddev = networks.policy(batch.data.observation).stddev.numpy()
    assert (abs(stddev.mean() - 1.0) < 0.15) == is_near, stddev.mean()
