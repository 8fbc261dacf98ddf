"""HeLMS as the paper's equations state it: the baseline of `offline_learner`.

It has a Sonnet network for each skill, a head for each previous skill, and Python loops
over steps and skills. It shares no code with the project's model, and is the reference
in that model's tests.

Shape letters: B batch, T time, L look-ahead, K skills, Z latent, D action.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
import sonnet as snt
import tensorflow as tf

from agents.helms.config import HelmsConfig


class ReferenceHelms(snt.Module):
    """The bound of Eq. 3, computed one step and one skill at a time."""

    def __init__(self, config: HelmsConfig, weights: Mapping[str, np.ndarray]):
        """Makes the networks and gives them the `weights` of a `HelmsNetworks`.

        Args:
          config: sizes and the objective's weights.
          weights: arrays by variable name; those of the normalizers are ignored, so
            batches must be normalised.
        """
        super().__init__(name="reference_helms")
        self._config = config
        sizes, skills = config.hidden_sizes, range(config.num_skills)
        num_actions = weights["helms/low_level/action/mean/b:0"].size
        self._torso = snt.nets.MLP(sizes, activation=tf.nn.elu, activate_final=True)
        self._heads = [snt.Linear(config.num_skills) for _ in skills]
        self._mids = [
            snt.nets.MLP([*sizes, 2 * config.latent_dim], activation=tf.nn.elu)
            for _ in skills
        ]
        self._low = snt.nets.MLP([*sizes, num_actions], activation=tf.nn.elu)
        self._prior_logits = tf.Variable(tf.zeros([config.num_skills] * 2))
        values = own_values(weights, config)
        for layer, matrix in zip(self._layers(), values[1::2], strict=True):
            layer(tf.zeros([1, matrix.shape[0]]))  # makes the variables
        for variable, value in zip(self.parameters, values, strict=True):
            variable.assign(value)

    @property
    def parameters(self) -> list[tf.Variable]:
        """All variables, in the order of `own_values`."""
        pairs = ((layer.w, layer.b) for layer in self._layers())
        return [self._prior_logits, *itertools.chain.from_iterable(pairs)]

    def _layers(self) -> list[snt.Linear]:
        mids = [layer for mid in self._mids for layer in mid.submodules]
        return [*self._torso.submodules, *self._heads, *mids, *self._low.submodules]

    def loss(self, batch: Mapping[str, tf.Tensor], noise: tf.Tensor) -> tf.Tensor:
        """Returns the negative bound, averaged over B and T, for draws [B, T, K, Z]."""
        config, skills = self._config, range(self._config.num_skills)
        proprio, objects, action = batch["proprio"], batch["objects"], batch["action"]
        log_prior = tf.nn.log_softmax(self._prior_logits)
        # q(y_{t-1} = y | x_{1:t-1}) [B] of each y; p(y_0) is uniform.
        marginals = [tf.fill(tf.shape(proprio)[:1], 1 / config.num_skills)] * len(
            skills
        )
        bound = 0.0
        for t in range(config.window):
            frames = range(t, t + config.look_ahead + 1)
            seen = [tf.concat([proprio[:, u], objects[:, u]], axis=-1) for u in frames]
            features = self._torso(tf.concat(seen, axis=-1))
            log_posteriors = [tf.nn.log_softmax(head(features)) for head in self._heads]
            posteriors = [tf.exp(logits) for logits in log_posteriors]  # K of [B, K]
            value = 0.0
            for y in skills:
                log_ratio = log_posteriors[y] - log_prior[y]
                kl = tf.reduce_sum(posteriors[y] * log_ratio, axis=-1)
                value -= config.beta_y * marginals[y] * kl
            marginals = [
                sum(posteriors[before][:, y] * marginals[before] for before in skills)
                for y in skills
            ]
            for y in skills:
                mean, raw_stddev = tf.split(self._mids[y](seen[0]), 2, axis=-1)
                low, high = config.min_stddev, config.max_stddev
                stddev = low + (high - low) * tf.sigmoid(raw_stddev)
                latent = mean + stddev * noise[:, t, y]
                low_input = tf.concat([latent, proprio[:, t]], axis=-1)
                action_mean = tf.tanh(self._low(low_input))
                log_likelihood = _log_normal(
                    action[:, t], action_mean, config.action_stddev
                )
                kl = tf.reduce_sum(
                    0.5 * (stddev**2 + mean**2 - 1.0) - tf.math.log(stddev), axis=-1
                )
                value += marginals[y] * (log_likelihood - config.beta_z * kl)
            bound += value * batch["mask"][:, t]
        return -tf.reduce_mean(bound) / config.window


def own_values(
    values: Mapping[str, np.ndarray], config: HelmsConfig
) -> list[np.ndarray]:
    """Converts arrays of a `HelmsNetworks`, by variable name, to a `ReferenceHelms`.

    The map is linear, so it converts gradients as it converts weights.

    Returns:
      One array for each of `ReferenceHelms.parameters`.
    """
    values = {name.removeprefix("helms/"): value for name, value in values.items()}

    def layer(name: str) -> list[np.ndarray]:
        return [values[f"{name}/w:0"], values[f"{name}/b:0"]]

    depth, skills = len(config.hidden_sizes), range(config.num_skills)
    parts = [values["transition_prior:0"]]
    for i in range(depth):
        parts += layer(f"high_level/mlp/linear_{i}")
    heads = np.split(values["high_level/gated_head/w:0"], len(skills), axis=1)
    for head, bias in zip(heads, values["high_level/gated_head_bias:0"], strict=True):
        parts += [head, bias]
    mid_names = [f"hidden_{i}" for i in range(depth)] + ["head"]
    for y in skills:
        for name in mid_names:
            parts += [value[y] for value in layer(f"mid_level/{name}")]
    from_proprio, bias = layer("low_level/from_proprio")
    from_latent = values["low_level/from_latent/w:0"]
    parts += [np.concatenate([from_latent, from_proprio]), bias]
    for i in range(depth - 1):
        parts += layer(f"low_level/mlp/linear_{i}")
    return parts + layer("low_level/action/mean")


def _log_normal(x: tf.Tensor, mean: tf.Tensor, stddev: float) -> tf.Tensor:
    constant = math.log(stddev) + 0.5 * math.log(2 * math.pi)
    terms = -0.5 * ((x - mean) / stddev) ** 2 - constant
    return tf.reduce_sum(terms, axis=-1)
