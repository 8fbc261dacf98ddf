"""Tests of the offline learner with every model, on synthetic data."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf
from acme.tf import savers

from agents.offline import learning
from agents.registry import MODELS
from tests.helpers.offline_models import CONFIGS, make_model, two_modes

HELMS = CONFIGS["helms"]


def _batches(config):
    return lambda start: (two_modes(1000 + i, config) for i in itertools.count(start))


def _learner(name_or_config="helms", make_batches=None, **kwargs):
    model = make_model(name_or_config)
    return learning.OfflineLearner(
        model, make_batches or _batches(model.config), **kwargs
    )


def _held_out(config=HELMS):
    return [two_modes(seed, config) for seed in range(3)]


def _weights(learner):
    return learner.get_variables(["policy"])[0]


def _assert_equal(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns(name):
    learner = _learner(name)
    held_out = _held_out(CONFIGS[name])
    before = learner.evaluate(held_out)
    for _ in range(60):
        means = learner.step()
    after = learner.evaluate(held_out)
    assert after["elbo"] > before["elbo"] + 1.0
    assert after["log_likelihood"] > before["log_likelihood"] + 1.0
    assert after["action_mse"] < before["action_mse"]
    assert after["steps"] == 3 * (32 * 6 - 8 * 2)
    assert {"loss", "elbo", "log_likelihood", "gradient_norm"} <= set(means)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.usefixtures("eagerly")
def test_evaluation_is_deterministic_and_the_sum_of_its_terms(name):
    learner = _learner(name)
    held_out = _held_out(CONFIGS[name])
    first, second = learner.evaluate(held_out), learner.evaluate(held_out)
    assert first == second
    expected = first["log_likelihood"] - first.get("categorical_kl", 0.0)
    expected -= 0.1 * first.get("latent_kl", 0.0)
    np.testing.assert_allclose(first["elbo"], expected, rtol=1e-5)
    assert first.get("latent_kl", 1.0) > 0 and first.get("categorical_kl", 0.0) >= 0


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.usefixtures("eagerly")
def test_masked_steps_do_not_change_a_step_or_an_evaluation(name):
    config = CONFIGS[name]
    batch = two_modes(0, config)
    batch["mask"][:, 4:] = 0
    junk = {k: v.copy() for k, v in batch.items()}
    junk["action"][:, 4:] = 0.3
    junk["proprio"][:, 4 + config.look_ahead :] = -7.0
    results, evaluations = [], []
    for data in (batch, junk):
        learner = _learner(name, lambda _, data=data: itertools.repeat(data))
        for _ in range(3):
            learner.step()
        results.append(_weights(learner))
        evaluations.append(learning.scalars(learner.evaluate([data])))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert evaluations[0] == pytest.approx(evaluations[1], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.usefixtures("eagerly")
def test_a_batch_with_nan_raises_and_changes_nothing(name):
    good = two_modes(0, CONFIGS[name])
    bads = [two_modes(1, CONFIGS[name]) for _ in range(2)]
    for bad, key in zip(bads, ("action", "proprio"), strict=True):
        bad[key][3, 2] = np.nan
    learner = _learner(name, lambda _: iter([good, *bads, good]))
    learner.step()
    weights = _weights(learner)
    moments = [v.numpy() for v in learner.checkpointables["optimizer"].m]
    for _ in bads:
        with pytest.raises(FloatingPointError, match="not finite at step 2"):
            learner.step()
        _assert_equal(_weights(learner), weights)
        _assert_equal(learner.checkpointables["optimizer"].m, moments)
        assert learner.num_steps == 1
    learner.step()
    assert learner.num_steps == 2
    with pytest.raises(FloatingPointError, match="evaluation"):
        learner.evaluate([bad])


@pytest.mark.usefixtures("eagerly")
def test_gradient_clipping_bounds_the_first_step_only_in_size():
    clipped = dataclasses.replace(HELMS, max_gradient_norm=1e-3)
    learner = _learner(clipped)
    means = learner.step()
    assert means["gradient_norm"] > 1e-3  # reported before clipping
    norm = tf.linalg.global_norm(learner.checkpointables["optimizer"].m)
    np.testing.assert_allclose(norm, 0.1 * 1e-3, rtol=1e-4)  # (1 - beta1) g


COSINE = dataclasses.replace(
    HELMS, learning_rate_schedule="cosine", learning_rate_steps=6
)


@pytest.mark.parametrize("name", [*MODELS, COSINE])
@pytest.mark.usefixtures("eagerly")
def test_a_run_that_stops_and_resumes_equals_one_that_does_not(tmp_path, name):
    def checkpointer(learner):
        return savers.Checkpointer(
            learner.checkpointables, directory=str(tmp_path), add_uid=False
        )

    whole = _learner(name)
    for _ in range(6):
        whole.step()
    first = _learner(name)
    for _ in range(3):
        first.step()
    checkpointer(first).save(force=True)
    second = _learner(name)
    checkpointer(second)
    assert second.num_steps == 3
    for _ in range(3):
        second.step()
    _assert_equal(_weights(whole), _weights(second))


@pytest.mark.usefixtures("eagerly")
def test_the_schedule_of_the_config_is_followed():
    learner, constant = _learner(COSINE), _learner(HELMS)
    rates = []
    for _ in range(7):
        learner.step()
        constant.step()
        rates.append(float(learner.checkpointables["optimizer"].learning_rate))
    steps = np.minimum(np.arange(7) / 6, 1.0)
    expected = 3e-3 * (0.55 + 0.45 * np.cos(np.pi * steps))
    np.testing.assert_allclose(rates, expected, rtol=1e-5)
    assert constant.checkpointables["optimizer"].learning_rate == 3e-3
    with pytest.raises(ValueError, match="valid: constant, cosine"):
        dataclasses.replace(HELMS, learning_rate_schedule="linear")
    with pytest.raises(ValueError, match="learning_rate_steps must be an integer of"):
        dataclasses.replace(HELMS, learning_rate_schedule="cosine")


def test_batches_that_do_not_fit_are_refused():
    batch = two_modes(0, HELMS)
    short = dict(batch, proprio=batch["proprio"][..., :-1])
    with pytest.raises(ValueError, match=r"proprio of a batch has shape"):
        _learner(make_batches=lambda _: iter([short])).step()
    del short["mask"]
    with pytest.raises(ValueError, match="missing: mask"):
        _learner().evaluate([short])
    with pytest.raises(ValueError, match="no valid step"):
        _learner().evaluate([])
    with pytest.raises(ValueError, match="without batches"):
        learning.OfflineLearner(make_model("helms")).step()


def test_scalars_flatten_lists():
    assert learning.scalars({"elbo": -1.0, "skill_use": [0.25, 0.75]}) == {
        "elbo": -1.0,
        "skill_use_0": 0.25,
        "skill_use_1": 0.75,
    }
