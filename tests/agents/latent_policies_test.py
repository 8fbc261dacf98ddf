"""Components and priors of the policies over latents: HeLMS-mix's and NPMP's."""

import types

import numpy as np
import pytest
import tensorflow as tf
from acme.tf import networks as acme_networks
from dm_env import specs

from agents import registry
from agents.distributions.policies import Gaussian, Mixture
from agents.helms.config import HelmsConfig
from agents.mpo.representation import InputRepresentation
from agents.mpo.rows import Rows
from agents.npmp.config import NpmpConfig
from agents.registry import AGENTS
from tests.helpers import offline_models, point_task


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """model -> its frozen bundle, untrained."""
    return point_task.bundles(tmp_path_factory.mktemp("bundles"))


@pytest.mark.parametrize("components", ["posteriors", "frozen", "scratch"])
def test_components_of_the_mixture(components, frozen):
    builder = point_task.make_builder("helms_mix", frozen, components=components)
    networks = builder.make_networks(point_task.SPEC, seed=0)
    batched = {
        key: tf.constant(value[None])
        for key, value in point_task.PointTask().reset().observation.items()
    }
    output = networks.policy(batched)
    mean, stddev = frozen["helms"].mid_level(batched)
    same = np.allclose(output.means, mean) and np.allclose(output.stddevs, stddev)
    assert same == (components != "scratch")
    # Acting evaluates the component that was drawn, and draws what all would.
    for number in range(5):
        seed = tf.constant([3, number])
        np.testing.assert_allclose(
            networks.policy.draw(batched, seed)[0], output.sample(1, seed)[0], rtol=1e-5
        )
    np.testing.assert_allclose(
        networks.policy.mode(batched)[0], output.mode(), rtol=1e-5
    )
    trained = [v.shape for v in networks.policy.trainable_variables]
    num_high_level = 4 + 4  # input layer with its norm; one hidden layer, the head
    assert len(trained) > num_high_level if components != "frozen" else True
    if components == "frozen":
        assert len(trained) == num_high_level


def test_new_networks_of_the_policy_share_one_input_representation(frozen):
    image = specs.BoundedArray((16, 16, 3), np.uint8, 0, 255, name="image")
    observations = {**point_task.SPEC.observations, "image": image}
    builder = point_task.make_builder(
        "helms_mix",
        frozen,
        **AGENTS["helms_mix"].default_settings(("image",)),
    )
    spec = point_task.SPEC._replace(observations=observations)
    networks = builder.make_networks(spec, seed=0)
    policy = networks.policy
    for kind in (InputRepresentation, acme_networks.ResNetTorso):
        assert sum(isinstance(module, kind) for module in policy.submodules) == 1
    assert not any(
        isinstance(module, acme_networks.ResNetTorso)
        for module in networks.critic.submodules
    )
    rng = np.random.default_rng(0)
    observation = {
        "proprio": tf.zeros([4, 3]),
        "image": tf.constant(rng.integers(0, 256, (4, 16, 16, 3)), tf.uint8),
    }
    [resnet] = (
        m for m in policy.submodules if isinstance(m, acme_networks.ResNetTorso)
    )
    with tf.GradientTape(persistent=True) as tape:
        output = policy(observation)
        parts = tf.reduce_sum(output.logits[:, 0]), tf.reduce_sum(output.means)
    for part in parts:  # high level and components both train it
        gradients = tape.gradient(part, resnet.trainable_variables)
        assert all(g is not None and np.abs(g).max() > 0 for g in gradients[-2:])


def test_components_and_their_prior_have_a_least_stddev(frozen):
    batched = {
        key: tf.constant(value[None])
        for key, value in point_task.PointTask().reset().observation.items()
    }
    mean, stddev = frozen["helms"].mid_level(batched)
    least = float(np.median(stddev))
    builder = point_task.make_builder("helms_mix", frozen, min_component_stddev=least)
    policy = builder.make_networks(point_task.SPEC, seed=0).policy
    seed, output = tf.constant([3, 1]), policy(batched)
    np.testing.assert_allclose(output.means, mean, rtol=1e-6)
    np.testing.assert_allclose(output.stddevs, np.maximum(stddev, least), rtol=1e-6)
    np.testing.assert_allclose(
        policy.draw(batched, seed)[0], output.sample(1, seed)[0], rtol=1e-5
    )
    rows = {key: value[None] for key, value in batched.items()}  # [B, T, ...]
    data = types.SimpleNamespace(observation=rows)
    prior = builder.prior(data, Rows.where(tf.ones([1, 1])))
    for found, expected in zip(prior, output[1:], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="min_component_stddev"):
        point_task.make_builder("helms_mix", frozen, min_component_stddev=-0.1)


def test_discrete_skills_have_no_mixture(frozen, tmp_path):
    config = HelmsConfig(
        num_skills=2, latent_dim=2, look_ahead=1, variant="discrete", hidden_sizes=(8,)
    )
    path = tmp_path / "skills"
    registry.save_bundle(
        path, offline_models.make_model(config).networks, point_task.GROUPS
    )
    with pytest.raises(ValueError, match="discrete only; use helms_cat"):
        point_task.make_builder("helms_mix", {"helms": registry.load_bundle(path)})


def _prior(builder, data):
    """Returns the prior of all rows, [B, T, Z]."""
    prior = builder.prior(data, Rows.where(data.extras["valid"]))
    return Gaussian(*(tf.reshape(part, data.action.shape) for part in prior))


def test_the_priors(frozen):
    """NPMP's follows the latents in replay; HeLMS-mix's is the frozen mid level."""
    builder = point_task.make_builder("npmp", frozen)  # prior_coefficient 0.9
    sample = point_task.sequence(builder, np.random.default_rng(1))
    prior = _prior(builder, sample.data)
    np.testing.assert_allclose(prior.mean[:, 1:], 0.9 * sample.data.action[:, :-1])
    np.testing.assert_allclose(prior.mean[:, 0], 0.0)
    np.testing.assert_allclose(prior.stddev[:, 0], 1.0)
    np.testing.assert_allclose(prior.stddev[:, 1:], np.sqrt(1 - 0.81), rtol=1e-6)


def test_the_standard_normal_prior_of_npmp(tmp_path):
    config = NpmpConfig(latent_dim=2, look_ahead=1, hidden_sizes=(8,))
    path = tmp_path / "skills"
    registry.save_bundle(
        path, offline_models.make_model(config).networks, point_task.GROUPS
    )
    builder = point_task.make_builder("npmp", {"npmp": registry.load_bundle(path)})
    prior = _prior(builder, point_task.sequence(builder, np.random.default_rng(1)).data)
    np.testing.assert_array_equal(prior.mean, np.zeros((8, 5, 2)))
    np.testing.assert_array_equal(prior.stddev, np.ones((8, 5, 2)))


def test_draws_of_a_mixture():
    """Shares, means and deviations of many draws are the mixture's."""
    mixture = Mixture(
        logits=tf.math.log([[0.2, 0.8]]),
        means=tf.constant([[[-3.0, 0.0], [3.0, 1.0]]]),
        stddevs=tf.constant([[[0.1, 0.2], [0.3, 0.4]]]),
    )
    draws = mixture.sample(20_000, tf.constant([1, 2]))[:, 0].numpy()
    assert draws.shape == (20_000, 2)
    first = draws[:, 0] < 0
    assert abs(first.mean() - 0.2) < 0.01
    np.testing.assert_allclose(draws[first].mean(axis=0), [-3, 0], atol=0.02)
    np.testing.assert_allclose(draws[~first].mean(axis=0), [3, 1], atol=0.02)
    np.testing.assert_allclose(draws[first].std(axis=0), [0.1, 0.2], rtol=0.05)
    np.testing.assert_allclose(draws[~first].std(axis=0), [0.3, 0.4], rtol=0.05)
    np.testing.assert_array_equal(mixture.mode(), [[3.0, 1.0]])
