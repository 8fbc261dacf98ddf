"""Three levels of HeLMS and its transition prior (section 3.1, Table 5).

Shape letters: B batch, T time, K skills, Z latent, D action, P proprioception,
O objects, L look-ahead steps. `...` stands for any leading dimensions.

The levels see different inputs: the high level sees proprioception and objects of the
steps t .. t+L, the mid level both at t, the low level proprioception at t. All take
inputs that `HelmsNetworks.normalize` has normalised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import sonnet as snt
import tensorflow as tf

from agents import networks
from agents.helms.config import HelmsConfig
from agents.offline.networks import (
    Dims,
    OfflineNetworks,
    Statistics,
    look_ahead_frames,
)


def initial_transition_logits(num_skills: int, stay: float) -> np.ndarray:
    """Returns logits [K, K] of rows that stay with probability `stay`; 0: uniform."""
    if num_skills == 1 or stay == 0.0:
        return np.zeros((num_skills, num_skills), np.float32)
    odds = stay * (num_skills - 1) / (1.0 - stay)
    return (math.log(odds) * np.eye(num_skills)).astype(np.float32)


class HighLevel(snt.Module):
    """High level q(y_t | y_{t-1}, x_t): an MLP with a categorical head per y_{t-1}."""

    def __init__(self, config: HelmsConfig, rng: np.random.Generator):
        super().__init__(name="high_level")
        self._num_skills = config.num_skills
        self._torso = networks.make_mlp(
            config.hidden_sizes, w_init=networks.FanInNormal(rng)
        )
        # Small weights: the first posterior hardly depends on x, so that no skill takes
        # every state before the skills have learned to differ.
        self._head = networks.LeadingDims(
            snt.Linear(
                config.num_skills**2,
                with_bias=False,
                w_init=networks.FanInNormal(rng, 0.1),
                name="gated_head",
            )
        )
        self._bias = tf.Variable(
            initial_transition_logits(
                config.num_skills, config.initial_stay_probability
            ),
            name="gated_head_bias",
        )

    def __call__(self, look_ahead: tf.Tensor) -> tf.Tensor:
        """Maps the look-ahead input [B, T, (L+1)(P+O)] to logits [B, T, K, K]."""
        logits = self._head(self._torso(look_ahead))
        shape = tf.concat([tf.shape(logits)[:-1], [self._num_skills] * 2], axis=0)
        out = tf.reshape(logits, shape)
        out.set_shape(logits.shape[:-1] + [self._num_skills] * 2)
        return out + self._bias


class SkillLinears(snt.Module):
    """K linear layers, one per skill, each followed by the same activation.

    K plain products: on a CPU TensorFlow runs them faster than one batched product, and
    does product, bias and elu in one pass over the result.
    """

    def __init__(
        self,
        weights: np.ndarray,
        biases: np.ndarray,
        activation: Callable[[tf.Tensor], tf.Tensor],
        name: str,
    ):
        """Starts from weights [K, in, out] and biases [K, out]."""
        super().__init__(name=name)
        self.w = tf.Variable(weights, dtype=tf.float32, name="w")
        self.b = tf.Variable(biases, dtype=tf.float32, name="b")
        self._activation = activation

    def __call__(self, inputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Maps the K inputs [N, in] of the skills to K outputs [N, out]."""
        weights, biases = tf.unstack(self.w), tf.unstack(self.b)
        return [
            self._activation(tf.nn.bias_add(tf.matmul(x, weights[k]), biases[k]))
            for k, x in enumerate(inputs)
        ]

    def of_skill(self, inputs: tf.Tensor, skill: tf.Tensor) -> tf.Tensor:
        """Maps inputs [N, in] to [N, out], each by the layer of its skill [N].

        Copies N layers and does not touch the others, which suits acting, where N is 1.
        """
        product = tf.matmul(inputs[:, None], tf.gather(self.w, skill))[:, 0]
        return self._activation(product + tf.gather(self.b, skill))


class MidLevel(snt.Module):
    """Mid level q(z_t | y_t, x_t): K MLPs with diagonal Gaussian heads, in one pass."""

    def __init__(self, config: HelmsConfig, num_inputs: int, rng: np.random.Generator):
        super().__init__(name="mid_level")
        self._num_skills, self._latent_dim = config.num_skills, config.latent_dim
        self._bounds = (config.min_stddev, config.max_stddev)
        num_skills = config.num_skills
        self._hidden = []
        for i, size in enumerate(config.hidden_sizes):
            weights = rng.normal(size=(num_skills, num_inputs, size))
            weights /= math.sqrt(num_inputs)
            biases = np.zeros((num_skills, size))
            self._hidden.append(SkillLinears(weights, biases, tf.nn.elu, f"hidden_{i}"))
            num_inputs = size
        weights = rng.normal(size=(num_skills, num_inputs, 2 * config.latent_dim))
        weights *= 0.1 / math.sqrt(num_inputs)
        biases = np.zeros((num_skills, 2 * config.latent_dim))
        # Latents that start apart make the low level act differently for each skill, so
        # that the high level has something to choose between.
        biases[:, : config.latent_dim] = config.initial_latent_spread * rng.normal(
            size=(num_skills, config.latent_dim)
        )
        self._head = SkillLinears(weights, biases, tf.identity, "head")

    def __call__(self, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Maps features [..., P+O] to the means and deviations, both [..., K, Z]."""
        flat = tf.reshape(features, [-1, features.shape[-1]])
        skills = [flat] * self._num_skills
        for layer in self._hidden:
            skills = layer(skills)  # K of [N, H]
        x = tf.stack(self._head(skills), axis=1)  # [N, K, 2Z]
        x = tf.reshape(x, tf.concat([tf.shape(features)[:-1], tf.shape(x)[1:]], axis=0))
        x.set_shape(features.shape[:-1] + [self._num_skills, 2 * self._latent_dim])
        return self._gaussian(x)

    def of_skill(
        self, features: tf.Tensor, skill: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Maps features [..., P+O] and skills [...] to mean and deviation [..., Z]."""
        x, chosen = (
            tf.reshape(features, [-1, features.shape[-1]]),
            tf.reshape(skill, [-1]),
        )
        for layer in (*self._hidden, self._head):
            x = layer.of_skill(x, chosen)
        shape = tf.concat([tf.shape(features)[:-1], [2 * self._latent_dim]], axis=0)
        return self._gaussian(tf.reshape(x, shape))

    def _gaussian(self, head: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean, raw_stddev = tf.split(head, 2, axis=-1)
        return mean, networks.bounded_stddev(raw_stddev, *self._bounds)


class HelmsNetworks(OfflineNetworks):
    """All networks of the offline model; construction makes their variables."""

    model = "helms"
    config: HelmsConfig

    def __init__(self, config: HelmsConfig, dims: Dims, statistics: Statistics):
        """Draws the initial weights from `config.seed`; see `OfflineNetworks`."""
        super().__init__(config, dims, statistics)
        rng = np.random.default_rng(config.seed)
        self.high_level = HighLevel(config, rng)
        self.mid_level = MidLevel(config, dims.proprio + dims.objects, rng)
        self.low_level = networks.LowLevel(
            config.hidden_sizes, dims.action, config.action_stddev, config.finger, rng
        )
        # Linear softmax of the one-hot of y_{t-1}: a row of logits for each y_{t-1}.
        self.prior_logits = tf.Variable(
            initial_transition_logits(
                config.num_skills, config.initial_stay_probability
            ),
            name="transition_prior",
        )
        proprio = tf.zeros([1, config.look_ahead + 1, dims.proprio])
        objects = tf.zeros([1, config.look_ahead + 1, dims.objects])
        self.posterior_logits(proprio, objects)
        self.low_level(tf.zeros([1, config.latent_dim]), proprio[:, 0])

    def posterior_logits(self, proprio: tf.Tensor, objects: tf.Tensor) -> tf.Tensor:
        """Returns logits [B, T, K, K] of q(y_t | y_{t-1}, x_t) of normalised frames."""
        frames = tf.concat([proprio, objects], axis=-1)
        return self.high_level(look_ahead_frames(frames, self.config.look_ahead))

    def latent(
        self, proprio: tf.Tensor, objects: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mean and stddev [..., K, Z] of q(z | y, x) of normalised inputs."""
        return self._without_noise_if_discrete(
            *self.mid_level(tf.concat([proprio, objects], axis=-1))
        )

    def latent_of_skill(
        self, skill: tf.Tensor, proprio: tf.Tensor, objects: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mean and stddev [..., Z] of q(z | y, x) for one skill [...] each."""
        features = tf.concat([proprio, objects], axis=-1)
        return self._without_noise_if_discrete(
            *self.mid_level.of_skill(features, skill)
        )

    def _without_noise_if_discrete(
        self, mean: tf.Tensor, stddev: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if self.config.variant == "discrete":
            stddev = tf.zeros_like(stddev)
        return mean, stddev
