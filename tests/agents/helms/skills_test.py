"""Tests of the frozen bundle."""

import json

import numpy as np
import pytest
import tensorflow as tf

from agents.helms import networks, skills
from agents.helms.config import HelmsConfig

DIMS = networks.HelmsDims(proprio=6, objects=4, action=3)
CONFIG = HelmsConfig(num_skills=4, latent_dim=2, look_ahead=2, hidden_sizes=(8, 7))
NAMES = {"proprio": ["arm"], "objects": ["red", "blue"]}


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _networks(seed=3):
    statistics = {
        "proprio": (_normal(6, seed=seed), np.full(6, 2.0)),
        "objects": (_normal(4, seed=seed + 1), np.full(4, 0.5)),
    }
    return networks.HelmsNetworks(CONFIG, DIMS, statistics)


def _observation(*leading):
    return {
        "proprio": tf.constant(_normal(*leading, 6)),
        "objects": tf.constant(_normal(*leading, 4, seed=1)),
    }


@pytest.fixture(name="bundle")
def _bundle(tmp_path):
    directory = tmp_path / "skills"
    skills.save(directory, _networks(), NAMES, data={"episodes": 2})
    return directory


def test_round_trip_is_bit_exact_and_frozen(bundle):
    loaded, nets = skills.load(bundle), _networks()
    observation = _observation(5)
    features = nets.normalize(observation["proprio"], observation["objects"])
    for ours, theirs in zip(
        loaded.mid_level(observation), nets.latent(*features), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    latent = tf.constant(_normal(5, 2))
    np.testing.assert_array_equal(
        loaded.low_level(latent, observation), nets.low_level(latent, features[0])
    )
    assert not loaded.trainable_variables
    assert len(loaded.variables) == len(nets.variables)
    for ours, theirs in zip(loaded.variables, nets.variables, strict=True):
        assert ours.name == theirs.name
        np.testing.assert_array_equal(ours, theirs)
    assert (loaded.num_skills, loaded.latent_dim, loaded.look_ahead) == (4, 2, 2)
    assert (loaded.proprio_dim, loaded.object_dim, loaded.action_dim) == (6, 4, 3)
    mean, stddev = loaded.observation_statistics()["proprio"]
    np.testing.assert_array_equal(mean, _normal(6, seed=3))
    np.testing.assert_array_equal(stddev, np.full(6, 2.0))
    assert loaded.description["observation_names"] == NAMES
    assert loaded.description["data"] == {"episodes": 2}
    assert sorted(p.name for p in bundle.parent.iterdir()) == ["skills"]


def test_decode_takes_the_chosen_skill(bundle):
    loaded = skills.load(bundle)
    observation = _observation(4)
    mean, stddev = loaded.mid_level(observation)
    chosen = np.array([3, 0, 1, 3])
    rows = np.arange(4)
    expected = loaded.low_level(tf.constant(mean.numpy()[rows, chosen]), observation)
    decode = tf.function(loaded.decode)
    actions = decode(tf.constant(chosen), observation)
    np.testing.assert_allclose(actions, expected, rtol=1e-5)

    seed = tf.constant([1, 2])
    sampled = decode(tf.constant(chosen), observation, seed)
    np.testing.assert_array_equal(
        sampled, decode(tf.constant(chosen), observation, seed)
    )
    other = decode(tf.constant(chosen), observation, tf.constant([1, 3]))
    assert np.abs(sampled - other).max() > 1e-4
    assert np.abs(sampled - actions).max() > 1e-4
    assert stddev.numpy().min() > 0.01


def test_decode_without_batch_and_with_two_leading_dims(bundle):
    loaded = skills.load(bundle)
    one = loaded.decode(tf.constant(2), _observation(), tf.constant([0, 0]))
    assert one.shape == (3,)
    many = loaded.decode(tf.constant([[2, 1]]), _observation(1, 2))
    assert many.shape == (1, 2, 3)


def test_action_noise_is_added_and_clipped(bundle):
    loaded = skills.load(bundle)
    observation, choice = _observation(2000), tf.zeros([2000], tf.int32)
    seed = tf.constant([5, 6])
    calm = loaded.decode(choice, observation, seed)
    noisy = loaded.decode(choice, observation, seed, action_noise=True)
    assert np.abs(noisy).max() <= 1.0
    np.testing.assert_allclose(np.std(noisy - calm), 0.1, rtol=0.1)
    with pytest.raises(ValueError, match="seed"):
        loaded.decode(choice, observation, action_noise=True)


def test_transition_matrix_and_posterior_are_distributions(bundle):
    loaded = skills.load(bundle)
    matrix = loaded.transition_matrix()
    assert matrix.shape == (4, 4)
    np.testing.assert_allclose(tf.reduce_sum(matrix, axis=-1), np.ones(4), rtol=1e-6)
    observation = _observation(2, 7)
    marginals = loaded.posterior(observation["proprio"], observation["objects"])
    assert marginals.shape == (2, 5, 4)
    np.testing.assert_allclose(tf.reduce_sum(marginals, -1), np.ones((2, 5)), rtol=1e-5)


def _edit(bundle, **changes):
    path = bundle / "skills.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _corrupt_weights(bundle):
    with np.load(bundle / "weights.npz") as archive:
        weights = dict(archive)
    name = sorted(weights)[0]
    weights[name] = weights[name] + np.float32(1e-6)
    np.savez(bundle / "weights.npz", **weights)


@pytest.mark.parametrize(
    "damage, message",
    [
        (_corrupt_weights, "damaged"),
        (lambda b: (b / "weights.npz").write_bytes(b"PK junk"), "weights.npz"),
        (lambda b: (b / "weights.npz").unlink(), "weights.npz"),
        (lambda b: (b / "skills.json").unlink(), "not a skill bundle"),
        (lambda b: (b / "skills.json").write_text("{"), "not readable"),
        (lambda b: (b / "skills.json").write_text("[]"), "not a skill bundle"),
        (lambda b: _edit(b, format="other"), "not a skill bundle"),
        (lambda b: _edit(b, version=99), "version 99, this program reads version 1"),
        (lambda b: _edit(b, dims={"proprio": 6}), "bad skills.json"),
        (lambda b: _edit(b, config={"num_skills": -1}), "num_skills"),
        (
            lambda b: _edit(b, config={**CONFIG.to_dict(), "latent_dim": 3}),
            "another architecture",
        ),
    ],
)
def test_damaged_bundles_are_refused_in_one_line(bundle, damage, message):
    damage(bundle)
    with pytest.raises(ValueError, match=message) as error:
        skills.load(bundle)
    assert str(bundle) in str(error.value)


def test_missing_bundle_and_dims_that_do_not_fit(bundle):
    with pytest.raises(ValueError, match="no such directory"):
        skills.load(bundle / "nothing")
    skills.load(bundle, proprio_dim=6, object_dim=4, action_dim=3)
    with pytest.raises(ValueError, match="6 proprio values, the environment has 7"):
        skills.load(bundle, proprio_dim=7)


def test_weights_that_are_not_finite_are_never_saved(bundle):
    nets = _networks()
    nets.prior_logits.assign(tf.fill([4, 4], np.nan))
    before = (bundle / "skills.json").read_text()
    with pytest.raises(ValueError, match="transition_prior.* is not finite"):
        skills.save(bundle, nets, NAMES)
    assert (bundle / "skills.json").read_text() == before


def test_saving_replaces_a_bundle_but_nothing_else(bundle, tmp_path):
    nets = _networks()
    nets.prior_logits.assign(tf.eye(4))
    skills.save(bundle, nets, NAMES)
    expected = tf.nn.softmax(tf.eye(4))
    np.testing.assert_array_equal(skills.load(bundle).transition_matrix(), expected)
    with pytest.raises(ValueError, match="not a skill bundle"):
        skills.save(tmp_path, nets, NAMES)
