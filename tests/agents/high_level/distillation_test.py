"""The distilled high level: against posteriors in closed form, and kept in a bundle."""

import json
import types
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from agents import registry
from agents.helms_cat.builder import HelmsCatBuilder
from agents.helms_cat.config import HelmsCatConfig
from agents.helms_mix.builder import HelmsMixBuilder
from agents.helms_mix.config import HelmsMixConfig
from agents.high_level import distillation
from agents.high_level.distillation import Distillation, DistillationConfig
from agents.mpo.rows import Rows
from agents.offline import bundle as bundle_lib
from agents.offline.networks import unit_statistics
from environments import wrappers
from tests.helpers.offline_models import DIMS
from tests.helpers.untrained_skills import save_skills

WINDOW, STICK = 4, 0.8
SEEN = ("proprio", "objects")


class KnownSkills:
    """q(y_t | y_{t-1}, x_t) that depends on the sign of a feature one step ahead.

    Where the feature at t+1 is positive the skill goes to 0, else to 1, each with
    probability 0.8, whatever y_{t-1} was: q(y_t | x_{1:t}) is that alone.
    """

    num_skills, proprio_dim, object_dim = 2, DIMS.proprio, DIMS.objects

    def observation_statistics(self):
        return unit_statistics(DIMS)

    def posterior(self, proprio, objects):
        del objects
        first = tf.where(proprio[:, 1:, 0] > 0, STICK, 1.0 - STICK)
        return tf.stack([first, 1.0 - first], axis=-1)


def _batch(seed, size=32):
    """The sign one step ahead is that of the object's feature now, in 3 of 4 steps."""
    rng = np.random.default_rng(seed)
    proprio = rng.normal(size=(size, WINDOW + 1, DIMS.proprio))
    objects = rng.normal(size=(size, WINDOW + 1, DIMS.objects))
    shown = np.where(rng.random((size, WINDOW)) < 0.75, 1.0, -1.0)
    proprio[:, 1:, 0] = np.abs(proprio[:, 1:, 0]) * np.sign(objects[:, :-1, 0]) * shown
    # Now tells nothing of the next step.
    mask = np.ones((size, WINDOW))
    mask[: size // 4, -1] = 0.0
    proprio[: size // 4, -1, 0] *= -1.0  # what is masked says the opposite
    batch = {"proprio": proprio, "objects": objects, "mask": mask}
    return {key: value.astype(np.float32) for key, value in batch.items()}


def _distilled(seed=0, steps=150):
    config = DistillationConfig(steps=steps, learning_rate=1e-3, seed=seed)
    made = Distillation(KnownSkills(), config)
    for number in range(steps):
        made.step(_batch(number))
    return made


def test_it_learns_the_posterior_s_mean_given_the_present():
    made = _distilled()
    held_out = [_batch(seed) for seed in (1000, 1001, 1002, 1003)]
    found = made.evaluate(held_out)
    # E[q(y_t = 0) | x_t] = 0.75 * 0.8 + 0.25 * 0.2 where the object's feature is
    # positive, which gives the least cross-entropy and the share of agreement.
    mean = 0.75 * STICK + 0.25 * (1 - STICK)
    entropy = -mean * np.log(mean) - (1 - mean) * np.log(1 - mean)
    floor = -STICK * np.log(STICK) - (1 - STICK) * np.log(1 - STICK)
    assert found["posterior_entropy"] == pytest.approx(floor, rel=1e-4)
    assert found["cross_entropy"] == pytest.approx(entropy, abs=0.04)
    assert found["agreement"] == pytest.approx(0.75, abs=0.08)
    observation = {"proprio": tf.zeros([2, 3]), "objects": [[1.5, 0.0], [-1.5, 0.0]]}
    shares = tf.nn.softmax(made.high_level(observation)).numpy()
    np.testing.assert_allclose(shares[:, 0], [mean, 1 - mean], atol=0.12)


def test_a_context_is_read_where_there_is_one():
    rng = np.random.default_rng(0)
    config = DistillationConfig(steps=60, learning_rate=3e-3)
    made = Distillation(KnownSkills(), config, context_size=2)

    def batch(size=16):
        """The sign one step ahead is what the context says; nothing else tells it."""
        values = {
            "proprio": rng.normal(size=(size, WINDOW + 1, DIMS.proprio)),
            "objects": rng.normal(size=(size, WINDOW + 1, DIMS.objects)),
            "context": np.eye(2)[rng.integers(2, size=size)],
            "mask": np.ones((size, WINDOW)),
        }
        signs = 1 - 2 * values["context"][:, 1:]  # [B, 1]
        values["proprio"][:, 1:, 0] = signs * np.abs(values["proprio"][:, 1:, 0])
        told = values["context"][:, None].repeat(WINDOW + 1, axis=1)
        return {**values, "context": told}

    for _ in range(config.steps):
        made.step(batch())
    assert made.evaluate([batch(64)])["agreement"] > 0.95


def test_masked_steps_train_nothing():
    batch, other = _batch(0), _batch(0)
    masked = batch["mask"] == 0
    assert masked.any() and not masked.all()
    # What the two networks read at masked steps alone: the present and the frame ahead.
    other["objects"][:, :-1][masked] += 5.0
    other["proprio"][:, 1:, 0][masked] *= -1.0
    losses, weights = [], []
    for data in (batch, other):
        made = Distillation(KnownSkills(), DistillationConfig(learning_rate=1e-2))
        logits = made.high_level({k: data[k][:, :WINDOW] for k in SEEN}).numpy()
        losses.append(made.step(data))
        weights.append(_weights(made.high_level))
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    first = np.where(batch["proprio"][:, 1:, 0] > 0, STICK, 1.0 - STICK)
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    each = -(first * logs[..., 0] + (1.0 - first) * logs[..., 1])
    np.testing.assert_allclose(losses, 2 * [each[~masked].mean()], rtol=1e-5)


def test_equal_seeds_give_equal_weights():
    first, second, other = (_distilled(seed, steps=3) for seed in (0, 0, 1))
    weights = [
        np.concatenate([v.numpy().ravel() for v in m.high_level.variables])
        for m in (first, second, other)
    ]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).any()


def test_what_is_not_finite_raises():
    batch = _batch(0)
    batch["proprio"][0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="cross-entropy"):
        Distillation(KnownSkills(), DistillationConfig(steps=1)).step(batch)
    with pytest.raises(ValueError, match="steps is 0"):
        DistillationConfig(steps=0)


@pytest.fixture(name="skills")
def _skills(tmp_path):
    return registry.load_bundle(save_skills(tmp_path / "skills"))


def _weights(high_level):
    return [v.numpy() for v in high_level.variables]


def _kept(skills, seed=3):
    high_level = distillation.make_high_level(skills, seed)
    distillation.save(skills, high_level, {"agreement": 0.7})
    return high_level


def test_agents_start_from_what_the_bundle_keeps(skills):
    expected = _weights(_kept(skills))
    spec = wrappers.environment_spec()
    small: dict[str, Any] = {"critic_hidden_sizes": (1,), "critic_rnn_size": 0}
    cat = HelmsCatConfig(high_level="distilled", **small)
    networks = HelmsCatBuilder(cat, skills).make_networks(spec, seed=0)
    starts = [networks.policy, networks.target_policy]
    mix = HelmsMixConfig(high_level="distilled", **small)
    networks = HelmsMixBuilder(mix, skills).make_networks(spec, seed=0)
    starts += [networks.policy.high_level, networks.target_policy.high_level]
    for start in starts:
        for ours, theirs in zip(_weights(start), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    new = HelmsCatBuilder(HelmsCatConfig(**small), skills).make_networks(spec, seed=0)
    assert any(
        (ours != theirs).any()
        for ours, theirs in zip(_weights(new.policy), expected, strict=True)
    )
    with pytest.raises(ValueError, match="other observations or sizes"):
        wide = HelmsCatConfig(high_level="distilled", input_size=8, **small)
        HelmsCatBuilder(wide, skills).make_networks(spec, seed=0)
    with pytest.raises(ValueError, match="high_level must be one of new, distilled"):
        HelmsCatConfig(high_level="old")
    with pytest.raises(ValueError, match="reads proprio and objects"):
        HelmsCatConfig(high_level="distilled", policy_keys=("proprio",))


@pytest.mark.parametrize("agent", ["helms_cat", "helms_mix"])
def test_a_start_can_be_tempered(agent, skills):
    kept = _kept(skills)
    spec = wrappers.environment_spec()
    small: dict[str, Any] = {"critic_hidden_sizes": (1,), "critic_rnn_size": 0}
    make, kind, high_level = {
        "helms_cat": (HelmsCatBuilder, HelmsCatConfig, lambda p: p),
        "helms_mix": (
            HelmsMixBuilder,
            HelmsMixConfig,
            lambda policy: policy.high_level,
        ),
    }[agent]
    config = kind(high_level="distilled", start_temperature=2.0, **small)
    networks = make(config, skills).make_networks(spec, seed=0)
    rng = np.random.default_rng(0)
    observation = {
        key: rng.normal(size=(6, *spec.observations[key].shape)).astype(np.float32)
        for key in SEEN
    }
    for policy in (networks.policy, networks.target_policy):
        np.testing.assert_allclose(
            high_level(policy)(observation), kept(observation) / 2.0, atol=1e-6
        )
    with pytest.raises(ValueError, match="start_temperature must be positive"):
        kind(high_level="distilled", start_temperature=0.0)
    with pytest.raises(ValueError, match="2.0 is of high_level distilled, not new"):
        kind(start_temperature=2.0)


def test_rl_takes_the_context_into_a_bias(skills):
    kept = distillation.make_high_level(skills, 3, context_size=4)
    distillation.save(skills, kept, {distillation.CONTEXT_SIZE: 4})
    assert distillation.reads_context(skills)
    loaded = _weights(distillation.load(skills))
    for ours, theirs in zip(loaded, _weights(kept), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    rng = np.random.default_rng(0)
    spec = wrappers.environment_spec()
    observation = {
        key: rng.normal(size=(6, *spec.observations[key].shape)).astype(np.float32)
        for key in SEEN
    }
    context = np.array([0.0, 1.0, 1.0, 0.0], np.float32)
    expected = kept({**observation, "context": np.tile(context, [6, 1])}).numpy()
    small: dict[str, Any] = {"critic_hidden_sizes": (1,), "critic_rnn_size": 0}
    small |= {"high_level": "distilled"}
    cat = HelmsCatConfig(policy_keys=("objects", "proprio"), **small)
    networks = HelmsCatBuilder(cat, skills, context).make_networks(spec, seed=0)
    starts = [networks.policy, networks.target_policy]
    mix = HelmsMixBuilder(HelmsMixConfig(**small), skills, context)
    networks = mix.make_networks(spec, seed=0)
    starts += [networks.policy.high_level, networks.target_policy.high_level]
    for start in starts:
        np.testing.assert_allclose(start(observation), expected, atol=1e-5)
    with pytest.raises(ValueError, match="of several tasks, and it is not said which"):
        HelmsCatBuilder(cat, skills).make_networks(spec, seed=0)


@pytest.mark.parametrize("agent", ["helms_cat", "helms_mix"])
def test_a_distilled_start_is_kept_near_itself(agent, skills):
    make, kind = {
        "helms_cat": (HelmsCatBuilder, HelmsCatConfig),
        "helms_mix": (HelmsMixBuilder, HelmsMixConfig),
    }[agent]
    small: dict[str, Any] = {"critic_hidden_sizes": (1,), "critic_rnn_size": 0}
    with pytest.raises(ValueError, match="no distilled high level"):
        make(kind(skill_prior="distilled", **small), skills)
    kept = _kept(skills)
    assert kind(**small).skill_prior == "uniform"
    config = kind(high_level="distilled", **small)
    assert config.skill_prior == "distilled"
    assert kind(high_level="distilled", skill_prior="uniform").skill_prior == "uniform"
    spec = wrappers.environment_spec()
    networks = make(config, skills).make_networks(spec, seed=0)
    rng = np.random.default_rng(0)
    observation = {
        key: rng.normal(size=(2, 3, *spec.observations[key].shape)).astype(np.float32)
        for key in SEEN
    }
    for variable in networks.policy.trainable_variables:  # RL leads away
        variable.assign_add(tf.ones_like(variable))
    rows = Rows.where(tf.constant([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
    tensors = tf.nest.map_structure(tf.constant, observation)
    found = networks.prior(types.SimpleNamespace(observation=tensors), rows)
    logits = found if agent == "helms_cat" else found.logits
    expected = kept({key: value.reshape(6, -1) for key, value in observation.items()})
    np.testing.assert_allclose(logits, expected.numpy()[[0, 2, 4]], rtol=1e-5)


def test_the_bundle_stays_the_bundle_it_was(skills):
    before = skills.description
    _kept(skills)
    distillation.describe(skills, ceiling=[{"success": 0.5}])
    loaded = registry.load_bundle(skills.directory)
    assert loaded.description == before
    found = distillation.read_description(loaded)
    assert found is not None
    assert found["agreement"] == 0.7 and found["ceiling"] == [{"success": 0.5}]


def test_a_high_level_that_does_not_belong_is_refused(skills, tmp_path):
    assert distillation.read_description(skills) is None
    with pytest.raises(ValueError, match="have no distilled high level"):
        distillation.restore(skills)
    _kept(skills)
    path = skills.directory / bundle_lib.HIGH_LEVEL / distillation.DESCRIPTION
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "skills": "others"}))
    with pytest.raises(ValueError, match="of other skills"):
        distillation.restore(skills)
    path.write_text("{")
    with pytest.raises(ValueError, match="not readable"):
        distillation.read_description(skills)
