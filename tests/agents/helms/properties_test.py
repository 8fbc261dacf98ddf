"""Properties of the whole model: networks and bound together."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from agents.distributions import gaussian
from agents.helms import networks
from agents.helms.config import HelmsConfig
from agents.losses import elbo
from agents.offline.networks import Dims, unit_statistics

tfd = tfp.distributions

B, T, K, L = 3, 4, 3, 1
# Wide distributions of action and latent: importance sampling needs few samples.
STDDEV = 0.5
CONFIG = HelmsConfig(
    num_skills=K,
    latent_dim=1,
    look_ahead=L,
    window=T,
    hidden_sizes=(8, 7),
    action_stddev=STDDEV,
    max_stddev=2.0,
    initial_latent_spread=0.3,
)
DIMS = Dims(proprio=3, objects=2, action=2)


def _networks(noise=0.5):
    """Networks; with noise on every weight and bias no symmetry is left."""
    nets = networks.HelmsNetworks(CONFIG, DIMS, unit_statistics(DIMS))
    rng = np.random.default_rng(0)
    for variable in nets.trainable_variables:
        variable.assign_add(noise * rng.normal(size=variable.shape))
    return nets


def _data(seed=1):
    rng = np.random.default_rng(seed)
    data = {
        "proprio": rng.normal(size=(B, T + L, DIMS.proprio)),
        "objects": rng.normal(size=(B, T + L, DIMS.objects)),
        "action": rng.uniform(-0.5, 0.5, size=(B, T, DIMS.action)),
    }
    return {key: tf.constant(value, tf.float32) for key, value in data.items()}


def _bound(nets, data, noise, mask=None, beta_z=1.0):
    """The bound for the draws noise [B, T, K, Z]."""
    proprio, objects = nets.normalize(data["proprio"], data["objects"])
    logits = nets.posterior_logits(proprio, objects)
    mean, stddev = nets.latent(proprio[:, :T], objects[:, :T])
    actions = nets.low_level(mean + stddev * noise, proprio[:, :T, None])
    return elbo.helms_elbo(
        gaussian.log_prob(data["action"][:, :, None], actions, CONFIG.action_stddev),
        tf.reduce_sum(gaussian.kl_to_standard(mean, stddev), axis=-1),
        logits,
        nets.prior_logits,
        tf.ones([B, T]) if mask is None else mask,
        beta_y=1.0,
        beta_z=beta_z,
    )


def _noise(seed=0):
    return tf.random.stateless_normal([B, T, K, CONFIG.latent_dim], [seed, 0])


def _permuted(value, name, order):
    """A variable of the networks with the skills in another order."""
    if "mid_level" in name:
        return value[order]
    if "transition_prior" in name or "gated_head_bias" in name:
        return value[order][:, order]
    if "gated_head" in name:
        return value.reshape(-1, K, K)[:, order][:, :, order].reshape(-1, K * K)
    return value


def test_permuting_the_skills_permutes_everything_and_keeps_the_bound():
    order = np.array([2, 0, 1])
    first, second = _networks(), _networks()
    for variable in second.variables:
        variable.assign(_permuted(variable.numpy(), variable.name, order))
    data, noise = _data(), _noise()
    results, gradients = [], []
    for nets, draws in ((first, noise), (second, tf.gather(noise, order, axis=2))):
        with tf.GradientTape() as tape:
            results.append(_bound(nets, data, draws))
        variables = nets.trainable_variables
        found = tape.gradient(results[-1][0], variables)
        gradients.append(
            {v.name: g.numpy() for v, g in zip(variables, found, strict=True)}
        )
    (bound, stats), (bound_p, stats_p) = results
    np.testing.assert_allclose(bound_p, bound, rtol=1e-4)
    np.testing.assert_allclose(
        stats_p.marginals, stats.marginals.numpy()[..., order], atol=1e-5
    )
    for name, gradient in gradients[0].items():
        expected = _permuted(gradient, name, order)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(gradients[1][name], expected, atol=1e-4 * scale)
    # The order matters: the skills are not alike.
    assert np.abs(stats.marginals.numpy()[..., order] - stats.marginals).max() > 0.01


def test_responsibilities_sum_to_one_and_are_not_negative():
    marginals = _bound(_networks(), _data(), _noise())[1].marginals.numpy()
    np.testing.assert_allclose(marginals.sum(-1), 1.0, rtol=1e-5)
    assert (marginals >= 0).all()


def test_what_only_masked_steps_see_changes_neither_bound_nor_gradient():
    nets, data, noise = _networks(), _data(), _noise()
    mask = tf.constant(np.arange(T) < 2, tf.float32) * tf.ones([B, 1])
    changed = {key: value.numpy() for key, value in data.items()}
    changed["action"][:, 2:] = 7.0
    for key in ("proprio", "objects"):
        changed[key][:, 2 + L :] = 7.0  # the frames before are seen by valid steps
    outcomes = []
    for inputs in (data, changed):
        with tf.GradientTape() as tape:
            bound, _ = _bound(nets, inputs, noise, mask)
        outcomes.append((bound, tape.gradient(bound, nets.trainable_variables)))
    (before, gradients_before), (after, gradients_after) = outcomes
    np.testing.assert_allclose(after, before, rtol=1e-6)
    for a, b in zip(gradients_before, gradients_after, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def _log_likelihood(nets, data):
    """log p(a_{1:T} | x_{1:T}) [B] by quadrature over z, which is one number."""
    z = np.linspace(-6.0, 6.0, 4001)
    actions = nets.low_level(
        tf.constant(z[:, None, None, None], tf.float32), data["proprio"][None, :, :T]
    )
    log_prob = tfd.MultivariateNormalDiag(actions, [STDDEV] * DIMS.action).log_prob(
        data["action"]
    )
    log_joint = log_prob.numpy() + tfd.Normal(0.0, 1.0).log_prob(z[:, None, None])
    # p(z | y) = N(0, 1) for every y: the sum over y is one.
    return np.log(np.sum(np.exp(log_joint), axis=0) * (z[1] - z[0])).sum(-1)


def _importance_sampled(nets, data, samples, seed=2):
    """The same from draws of y and z from the posterior, weighted by p / q."""
    rng = np.random.default_rng(seed)
    proprio, objects = data["proprio"], data["objects"]
    posterior = tf.nn.softmax(nets.posterior_logits(proprio, objects)).numpy()
    prior = tf.nn.softmax(nets.prior_logits).numpy()
    mean, stddev = (v.numpy() for v in nets.latent(proprio[:, :T], objects[:, :T]))
    rows = np.arange(B)[None]
    y = rng.integers(K, size=(samples, B))
    log_weight = np.zeros((samples, B))
    for t in range(T):
        chance = posterior[rows, t, y]  # [samples, B, K]
        draw = rng.random((samples, B, 1))
        now = (np.cumsum(chance, -1) < draw).sum(-1).clip(max=K - 1)
        log_weight += np.log(prior[y, now] / posterior[rows, t, y, now])
        y = now
        mu, sigma = mean[rows, t, y], stddev[rows, t, y]  # [samples, B, 1]
        z = mu + sigma * rng.normal(size=mu.shape)
        actions = nets.low_level(tf.constant(z, tf.float32), proprio[None, :, t])
        log_p = tfd.MultivariateNormalDiag(actions, [STDDEV] * DIMS.action).log_prob(
            data["action"][:, t]
        )
        log_weight += log_p.numpy() - np.sum(
            0.5 * z**2 - 0.5 * ((z - mu) / sigma) ** 2 - np.log(sigma), axis=-1
        )
    return tfp.math.reduce_logmeanexp(log_weight, axis=0).numpy()


def test_bound_is_below_the_importance_sampled_likelihood():
    # As at the start of training: later posteriors are too narrow to sample p from.
    nets, data = _networks(noise=0.0), _data()
    nets.prior_logits.assign(2.0 * tf.eye(K))
    exact = _log_likelihood(nets, data)
    sampled = _importance_sampled(nets, data, samples=50_000)
    bound = np.mean([_bound(nets, data, _noise(seed))[0] for seed in range(200)], 0)
    np.testing.assert_allclose(sampled, exact, atol=0.05)
    assert (bound < sampled - 0.1).all()
