"""Tests of the bundles of all models."""

import dataclasses
import fcntl
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from agents import registry
from agents.bc.config import BcConfig
from agents.bc.networks import BcNetworks
from agents.helms.config import HelmsConfig
from agents.helms.networks import HelmsNetworks
from agents.hierarchical_bc.config import HierarchicalBcConfig
from agents.hierarchical_bc.networks import HierarchicalBcNetworks
from agents.npmp.config import NpmpConfig
from agents.npmp.networks import NpmpNetworks
from agents.offline import bundle as bundle_files
from agents.offline.networks import Dims

DIMS = Dims(proprio=6, objects=4, action=3)
NAMES = {"proprio": ["arm"], "objects": ["red", "blue"]}
HELMS = HelmsConfig(num_skills=4, latent_dim=2, look_ahead=2, hidden_sizes=(8, 7))
NPMP = NpmpConfig(latent_dim=2, look_ahead=2, hidden_sizes=(8, 7))
MODELS = {
    "helms": (HelmsNetworks, HELMS),
    "npmp": (NpmpNetworks, NPMP),
    "bc": (BcNetworks, BcConfig(hidden_sizes=(8, 7))),
    "hierarchical_bc": (
        HierarchicalBcNetworks,
        HierarchicalBcConfig(latent_dim=2, hidden_sizes=(8, 7)),
    ),
}


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _networks(model="helms", **changes):
    statistics = {
        "proprio": (_normal(6, seed=3), np.full(6, 2.0)),
        "objects": (_normal(4, seed=4), np.full(4, 0.5)),
    }
    networks_type, config = MODELS[model]
    return networks_type(dataclasses.replace(config, **changes), DIMS, statistics)


def _save(directory, model, **changes):
    nets = _networks(model, **changes)
    registry.save_bundle(directory, nets, NAMES, data={"episodes": 2})
    return registry.load_bundle(directory), nets


def _observation(*leading):
    return {
        "proprio": tf.constant(_normal(*leading, 6)),
        "objects": tf.constant(_normal(*leading, 4, seed=1)),
    }


@pytest.fixture(name="bundle")
def _bundle(tmp_path):
    directory = tmp_path / "skills"
    _save(directory, "helms")
    return directory


@pytest.mark.parametrize("model", MODELS)
def test_round_trip_is_bit_exact_and_frozen(tmp_path, model):
    loaded, nets = _save(tmp_path / "skills", model)
    assert isinstance(loaded, registry.MODELS[model].frozen)
    assert loaded.model == loaded.description["model"] == model
    assert loaded.config == MODELS[model][1]
    assert not loaded.trainable_variables
    assert len(loaded.variables) == len(nets.variables)
    for ours, theirs in zip(loaded.variables, nets.variables, strict=True):
        assert ours.name == theirs.name
        np.testing.assert_array_equal(ours, theirs)
    assert (loaded.proprio_dim, loaded.object_dim, loaded.action_dim) == (6, 4, 3)
    assert loaded.action_stddev == 0.1
    mean, stddev = loaded.observation_statistics()["proprio"]
    np.testing.assert_array_equal(mean, _normal(6, seed=3))
    np.testing.assert_array_equal(stddev, np.full(6, 2.0))
    assert loaded.description["observation_names"] == NAMES
    assert loaded.description["data"] == {"episodes": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["skills"]


@pytest.mark.parametrize("model", MODELS)
def test_a_trainable_copy_leaves_the_frozen_model_as_it_is(tmp_path, model):
    loaded, nets = _save(tmp_path / "skills", model)
    copy = loaded.trainable_networks()
    assert len(copy.trainable_variables) == len(nets.trainable_variables) > 0
    for mine, theirs in zip(copy.variables, nets.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        mine.assign_add(tf.ones_like(mine))
    for mine, theirs in zip(loaded.variables, nets.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("model", ["helms", "npmp", "hierarchical_bc"])
def test_no_gradient_reaches_frozen_weights_but_the_latent_gets_one(tmp_path, model):
    loaded, _ = _save(tmp_path / "skills", model)
    latent = tf.constant(_normal(5, 2))
    with tf.GradientTape() as tape:
        tape.watch(latent)
        loss = tf.reduce_sum(loaded.low_level(latent, _observation(5)))
        watched = tape.watched_variables()
    assert not watched
    assert np.abs(tape.gradient(loss, latent)).max() > 0


def test_npmp_encodes_windows_and_draws_from_its_prior(tmp_path):
    loaded, nets = _save(tmp_path / "skills", "npmp", prior_coefficient=0.95)
    window = _observation(2, 6)
    mean, stddev = loaded.encode(window["proprio"], window["objects"])
    assert mean.shape == stddev.shape == (2, 4, 2)
    features = nets.normalize(window["proprio"], window["objects"])
    np.testing.assert_array_equal(mean, nets.posterior(*features)[0])
    assert loaded.prior_coefficient == 0.95
    np.testing.assert_allclose(loaded.prior_stddev, np.sqrt(1 - 0.95**2))
    previous = tf.constant(_normal(20000, 2, seed=5))  # the stationary distribution
    draw = loaded.sample_prior(previous, tf.constant([1, 2])).numpy()
    np.testing.assert_array_equal(
        draw, loaded.sample_prior(previous, tf.constant([1, 2]))
    )
    np.testing.assert_allclose(draw.std(axis=0), 1.0, rtol=0.02)
    np.testing.assert_allclose((draw * previous.numpy()).mean(axis=0), 0.95, rtol=0.03)
    white, _ = _save(tmp_path / "white", "npmp")
    assert (white.prior_coefficient, white.prior_stddev) == (0.0, 1.0)


@pytest.mark.parametrize("model", ["bc", "hierarchical_bc"])
def test_clones_sample_around_their_mean_and_within_bounds(tmp_path, model):
    loaded, nets = _save(tmp_path / "skills", model)
    observation = _observation(4000)
    mean = loaded.mean(observation).numpy()
    features = nets.normalize(observation["proprio"], observation["objects"])
    np.testing.assert_array_equal(mean, nets.distribution(*features).mean)
    actions = loaded.sample(observation, tf.constant([1, 2])).numpy()
    assert np.abs(actions).max() <= 1.0
    inside = np.abs(mean) < 0.6
    np.testing.assert_allclose(np.std((actions - mean)[inside]), 0.1, rtol=0.05)
    assert loaded.mean(_observation()).shape == (3,)


def test_hierarchical_bc_acts_on_the_present_alone(tmp_path):
    loaded, nets = _save(tmp_path / "skills", "hierarchical_bc")
    observation = _observation(2, 3)
    mean, stddev = loaded.latent(observation)
    assert mean.shape == stddev.shape == (2, 3, 2)
    features = nets.normalize(observation["proprio"], observation["objects"])
    np.testing.assert_allclose(mean, nets.posterior(*features)[0], rtol=1e-6)
    assert loaded.low_level(mean, observation).shape == (2, 3, 3)
    assert loaded.latent(_observation())[0].shape == (2,)


def _actions(frozen, observation):
    """The mean of every model's low level or policy, [..., 3]."""
    if hasattr(frozen, "mean"):  # acts by itself
        return frozen.mean(observation)
    latent = tf.constant(_normal(*observation["proprio"].shape[:-1], 2, seed=7))
    return frozen.low_level(latent, observation)


@pytest.mark.parametrize("model", MODELS)
def test_the_finger_is_in_the_bundle(tmp_path, model):
    """The same weights give the same mean: what differs is the distribution."""
    made = {}
    for finger in ("gaussian", "bernoulli"):
        made[finger], _ = _save(tmp_path / finger, model, finger=finger)
        assert made[finger].finger == finger
        description = json.loads((tmp_path / finger / "skills.json").read_text())
        assert description["config"]["finger"] == finger
        copy = made[finger].trainable_networks()
        assert copy.config.finger == finger
    observation = _observation(9)
    one, other = (_actions(frozen, observation) for frozen in made.values())
    np.testing.assert_allclose(one, other, rtol=1e-6)
    one, other = (frozen.description["checksum"] for frozen in made.values())
    assert one != other


@pytest.mark.parametrize("model", ["bc", "hierarchical_bc"])
def test_clones_draw_a_bernoulli_finger(tmp_path, model):
    loaded, _ = _save(tmp_path / "skills", model, finger="bernoulli")
    observation = {k: tf.tile(v, [4000, 1]) for k, v in _observation(1).items()}
    draws = loaded.sample(observation, tf.constant([1, 2])).numpy()
    assert set(np.unique(draws[:, 2])) == {-1.0, 1.0}
    mean = loaded.mean(observation).numpy()[0]
    assert abs(mean[2]) < 0.9  # neither sign is all but certain
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.05)
    assert draws[:, :2].std(axis=0) == pytest.approx([0.1, 0.1], rel=0.1)


@pytest.mark.parametrize("model", MODELS)
def test_bundles_that_say_nothing_of_the_finger_are_gaussian(tmp_path, model):
    """As they were written before there was the setting."""
    directory = tmp_path / "skills"
    _, nets = _save(directory, model)
    description = json.loads((directory / "skills.json").read_text())
    del description["config"]["finger"]
    weights = {v.name: v.numpy() for v in nets.variables}
    identity = ("model", "dims", "config", "observation_names")
    description["checksum"] = bundle_files.checksum(
        {key: description[key] for key in identity}, weights
    )
    (directory / "skills.json").write_text(json.dumps(description))
    loaded = registry.load_bundle(directory)
    assert loaded.finger == loaded.config.finger == "gaussian"


def test_an_unknown_finger_is_refused():
    with pytest.raises(ValueError, match="'thumb'; valid: gaussian, bernoulli"):
        BcConfig(finger="thumb")


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
        (lambda b: _edit(b, version=99), "version 99, this program reads version 2"),
        (lambda b: _edit(b, model="dance"), "'dance' .* valid: helms, npmp, bc"),
        (lambda b: _edit(b, model="npmp"), "bad skills.json"),
        (lambda b: _edit(b, dims={"proprio": 6}), "bad skills.json"),
        (lambda b: _edit(b, config={"num_skills": -1}), "num_skills"),
        (lambda b: _edit(b, config={**HELMS.to_dict(), "latent_dim": 3}), "damaged"),
        (lambda b: _edit(b, config={**HELMS.to_dict(), "action_stddev": 0.2}), "damag"),
        (lambda b: _edit(b, observation_names={"proprio": ["leg"]}), "damaged"),
    ],
)
def test_damaged_bundles_are_refused_in_one_line(bundle, damage, message):
    damage(bundle)
    with pytest.raises(ValueError, match=message) as error:
        registry.load_bundle(bundle)
    assert str(bundle) in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_of_another_architecture_are_refused(bundle, tmp_path):
    nets = _networks()
    nets.config = dataclasses.replace(HELMS, latent_dim=3)
    registry.save_bundle(tmp_path / "odd", nets, NAMES)
    with pytest.raises(ValueError, match="another architecture"):
        registry.load_bundle(tmp_path / "odd")


def test_missing_bundle_and_what_does_not_fit(bundle):
    with pytest.raises(ValueError, match="no such directory$"):
        registry.load_bundle(bundle / "nothing")
    with pytest.raises(ValueError, match=f"beside it: {bundle.name}$"):
        registry.load_bundle(bundle.with_name("nothing"))
    registry.load_bundle(
        bundle, proprio_dim=6, object_dim=4, action_dim=3, model="helms"
    )
    with pytest.raises(ValueError, match="6 proprio values, the environment has 7"):
        registry.load_bundle(bundle, proprio_dim=7)
    with pytest.raises(ValueError, match="are of model 'helms', not 'npmp'"):
        registry.load_bundle(bundle, model="npmp")
    with pytest.raises(ValueError, match="unknown model 'dance'.*valid: helms, npmp"):
        registry.load_bundle(bundle, model="dance")


def test_the_checksum_is_of_the_model_and_not_of_its_history(tmp_path):
    for name, training in (("a", {"seconds": 1.0}), ("b", {"seconds": 2.0})):
        registry.save_bundle(tmp_path / name, _networks(), NAMES, training=training)
    checksums = [
        registry.load_bundle(tmp_path / name).description["checksum"]
        for name in ("a", "b")
    ]
    assert checksums[0] == checksums[1]


def test_weights_that_are_not_finite_are_never_saved(bundle):
    nets = _networks()
    nets.prior_logits.assign(tf.fill([4, 4], np.nan))
    before = (bundle / "skills.json").read_text()
    with pytest.raises(ValueError, match="transition_prior.* is not finite"):
        registry.save_bundle(bundle, nets, NAMES)
    assert (bundle / "skills.json").read_text() == before


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["skills.json", "weights.npz"])
def test_a_pipe_is_refused(name, bundle):
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    with pytest.raises(ValueError, match="not a regular file"):
        registry.load_bundle(bundle)


def test_what_killed_processes_have_left_is_removed(tmp_path):
    hexadecimal = "0123456789abcdef" * 2
    left = [f".skills.{hexadecimal}", f".skills.{hexadecimal}.old"]
    kept = [".skills.mine", f".other.{hexadecimal}", f".skills.{hexadecimal[::-1]}"]
    for name in left + kept:
        (tmp_path / name).mkdir()
    writes = os.open(tmp_path / kept[-1], os.O_RDONLY)  # another process, still
    fcntl.flock(writes, fcntl.LOCK_EX)
    with bundle_files.replaced(tmp_path / "skills") as aside:
        (aside / "file").touch()
    os.close(writes)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted([*kept, "skills"])


def test_saving_replaces_a_bundle_but_nothing_else(bundle, tmp_path):
    nets = _networks()
    nets.prior_logits.assign(tf.eye(4))
    registry.save_bundle(bundle, nets, NAMES)
    expected = tf.nn.softmax(tf.eye(4))
    np.testing.assert_array_equal(
        registry.load_bundle(bundle).transition_matrix(), expected
    )
    with pytest.raises(ValueError, match="not a skill bundle"):
        registry.save_bundle(tmp_path, nets, NAMES)
