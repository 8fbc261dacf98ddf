"""Tests of the offline learner on synthetic data."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf
from acme.tf import savers

from agents.helms import learning, networks
from agents.helms.config import HelmsConfig
from agents.offline.networks import Dims, unit_statistics

DIMS = Dims(proprio=3, objects=2, action=2)
CONFIG = HelmsConfig(
    num_skills=2,
    latent_dim=2,
    look_ahead=1,
    hidden_sizes=(32,),
    window=6,
    batch_size=32,
    learning_rate=3e-3,
)


def two_modes(seed, config=CONFIG):
    """Windows in which a hidden mode, seen only one step ahead, picks the action."""
    rng = np.random.default_rng(seed)
    size, frames = config.batch_size, config.window + config.look_ahead
    mode = np.cumsum(rng.random((size, frames)) < 0.2, axis=1) % 2  # sticky
    proprio = rng.normal(size=(size, frames, DIMS.proprio))
    proprio[:, 1:, 0] = 2.0 * mode[:, :-1] - 1.0  # the next frame shows the mode
    action = np.where(mode[:, : config.window, None] == 1, [0.8, -0.4], [-0.6, 0.7])
    mask = np.ones((size, config.window))
    mask[: size // 4, -2:] = 0
    batch = {
        "proprio": proprio,
        "objects": rng.normal(size=(size, frames, DIMS.objects)),
        "action": action + 0.05 * rng.normal(size=action.shape),
        "mask": mask,
    }
    return {k: v.astype(np.float32) for k, v in batch.items()}


def _batches(start, config=CONFIG):
    return (two_modes(1000 + i, config) for i in itertools.count(start))


def _learner(config=CONFIG, make_batches=_batches, **kwargs):
    nets = networks.HelmsNetworks(config, DIMS, unit_statistics(DIMS))
    return learning.HelmsLearner(config, nets, make_batches, **kwargs)


def _held_out():
    return [two_modes(seed) for seed in range(3)]


def _weights(learner):
    return learner.get_variables(["policy"])[0]


def _assert_equal(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_learner_raises_the_bound_and_uses_both_skills():
    learner = _learner()
    before = learner.evaluate(_held_out())
    for _ in range(400):
        learner.step()
    after = learner.evaluate(_held_out())
    assert after.elbo > before.elbo + 5.0
    assert after.action_mse < 0.05 < before.action_mse
    # The modes are equally long, and the skills must be the modes: nothing but the
    # high level sees which it is.
    assert max(after.skill_use) < 0.7
    assert after.step_entropy < 0.2
    assert after.prior_stay > 0.6  # the modes are sticky
    assert after.steps == 3 * (32 * 6 - 8 * 2)


def test_evaluation_is_deterministic_and_consistent():
    learner = _learner()
    first, second = learner.evaluate(_held_out()), learner.evaluate(_held_out())
    assert first == second
    expected = first.log_likelihood - 0.1 * first.latent_kl - first.categorical_kl
    np.testing.assert_allclose(first.elbo, expected, rtol=1e-5)
    np.testing.assert_allclose(sum(first.skill_use), 1.0, rtol=1e-5)
    np.testing.assert_allclose(first.use_entropy, np.log(2), atol=0.05)
    assert first.latent_kl > 0 and first.categorical_kl >= 0
    assert "skill_1_use" in first.scalars()


def test_masked_steps_do_not_change_a_step():
    batch = two_modes(0)
    batch["mask"][:, 4:] = 0
    junk = {k: v.copy() for k, v in batch.items()}
    junk["action"][:, 4:] = 0.3
    junk["proprio"][:, 4 + CONFIG.look_ahead :] = -7.0
    results = []
    for data in (batch, junk):
        learner = _learner(make_batches=lambda _, data=data: itertools.repeat(data))
        for _ in range(3):
            learner.step()
        results.append(_weights(learner))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("key", ["action", "proprio"])
def test_a_batch_with_nan_raises_and_changes_nothing(key):
    good, bad = two_modes(0), two_modes(1)
    bad[key][3, 2] = np.nan
    learner = _learner(make_batches=lambda _: iter([good, bad, good]))
    learner.step()
    weights = _weights(learner)
    moments = [v.numpy() for v in learner.checkpointables["optimizer"].m]
    with pytest.raises(FloatingPointError, match="not finite at step 2"):
        learner.step()
    _assert_equal(_weights(learner), weights)
    _assert_equal(learner.checkpointables["optimizer"].m, moments)
    assert learner.num_steps == 1
    learner.step()
    assert learner.num_steps == 2
    with pytest.raises(FloatingPointError, match="evaluation"):
        learner.evaluate([bad])


def test_gradient_clipping_bounds_the_first_step_only_in_size():
    clipped = dataclasses.replace(CONFIG, max_gradient_norm=1e-3)
    learner = _learner(clipped)
    means = learner.step()
    assert means["gradient_norm"] > 1e-3  # reported before clipping
    norm = tf.linalg.global_norm(learner.checkpointables["optimizer"].m)
    np.testing.assert_allclose(norm, 0.1 * 1e-3, rtol=1e-4)  # (1 - beta1) g


def test_a_run_that_stops_and_resumes_equals_one_that_does_not(tmp_path):
    def checkpointer(learner):
        return savers.Checkpointer(
            learner.checkpointables, directory=str(tmp_path), add_uid=False
        )

    whole = _learner()
    for _ in range(6):
        whole.step()
    first = _learner()
    for _ in range(3):
        first.step()
    checkpointer(first).save(force=True)
    second = _learner(dataclasses.replace(CONFIG))
    checkpointer(second)
    assert second.num_steps == 3
    for _ in range(3):
        second.step()
    _assert_equal(_weights(whole), _weights(second))


def test_batches_that_do_not_fit_are_refused():
    batch = two_modes(0)
    short = dict(batch, proprio=batch["proprio"][..., :-1])
    with pytest.raises(ValueError, match=r"proprio of a batch has shape"):
        _learner(make_batches=lambda _: iter([short])).step()
    del short["mask"]
    with pytest.raises(ValueError, match="missing: mask"):
        _learner().evaluate([short])
    with pytest.raises(ValueError, match="no valid step"):
        _learner().evaluate([])
    with pytest.raises(ValueError, match="without batches"):
        _learner(make_batches=None).step()


def test_one_skill_trains_as_a_single_gaussian():
    learner = _learner(dataclasses.replace(CONFIG, num_skills=1))
    means = learner.step()
    assert means["categorical_kl"] == 0.0
    assert learner.evaluate(_held_out()).skill_use == (1.0,)
