"""The encoder and the low level of NPMP (arXiv:1811.11711, Table 5 of 2112.05062).

Shape letters: B batch, T time, L look-ahead steps, Z latent, H hidden, P
proprioception, O objects, F encoder inputs. `...` stands for any leading dimensions.

The encoder sees proprioception and objects of the steps t .. t+L, the low level
proprioception at t. Under an AR(1) prior it also sees z_{t-1}, as the original does:
the prior's mean is c z_{t-1}, and an encoder that does not know z_{t-1} cannot follow
it: its KL would pay for every draw. Under N(0, I) z_{t-1} tells nothing, and all steps
are encoded in one pass.
"""

from __future__ import annotations

import numpy as np
import sonnet as snt
import tensorflow as tf

from agents import networks
from agents.offline.config import LatentConfig
from agents.offline.networks import (
    Dims,
    OfflineNetworks,
    Statistics,
    look_ahead_frames,
)


class Encoder(snt.Module):
    """q(z_t | z_{t-1}, x_t): an MLP with a diagonal Gaussian head."""

    def __init__(self, config: LatentConfig, rng: np.random.Generator):
        super().__init__(name="encoder")
        self._bounds = (config.min_stddev, config.max_stddev)
        w_init = networks.FanInNormal(rng)
        first, *rest = config.hidden_sizes
        # The first layer in two parts: only that of z_{t-1} has to wait for it.
        self._from_frames = networks.LeadingDims(
            snt.Linear(first, w_init=w_init, name="from_frames")
        )
        self._from_previous = None
        if config.prior_coefficient > 0.0:
            self._from_previous = networks.LeadingDims(
                snt.Linear(first, with_bias=False, w_init=w_init, name="from_previous")
            )
        self._rest = networks.make_mlp(rest, w_init=w_init) if rest else tf.identity
        self._head = networks.LeadingDims(
            snt.Linear(
                2 * config.latent_dim,
                w_init=networks.FanInNormal(rng, 0.1),
                name="gaussian",
            )
        )

    @property
    def is_autoregressive(self) -> bool:
        """Whether z_{t-1} is an input."""
        return self._from_previous is not None

    def embed(self, frames: tf.Tensor) -> tf.Tensor:
        """The first layer's part that does not depend on z: [..., F] to [..., H]."""
        return self._from_frames(frames)

    def __call__(
        self, embedded: tf.Tensor, previous: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Maps `embed`'s [..., H] and z_{t-1} [..., Z] to mean, stddev [..., Z]."""
        if self._from_previous is not None:
            embedded += self._from_previous(previous)
        outputs = self._head(self._rest(tf.nn.elu(embedded)))
        mean, raw_stddev = tf.split(outputs, 2, axis=-1)
        return mean, networks.bounded_stddev(raw_stddev, *self._bounds)


class NpmpNetworks(OfflineNetworks):
    """Encoder and low level, their variables made at construction."""

    model = "npmp"
    config: LatentConfig

    def __init__(self, config: LatentConfig, dims: Dims, statistics: Statistics):
        """Draws the initial weights from `config.seed`; see `OfflineNetworks`."""
        super().__init__(config, dims, statistics)
        rng = np.random.default_rng(config.seed)
        self.encoder = Encoder(config, rng)
        self.low_level = networks.LowLevel(
            config.hidden_sizes, dims.action, config.action_stddev, config.finger, rng
        )
        proprio = tf.zeros([1, config.look_ahead + 1, dims.proprio])
        objects = tf.zeros([1, config.look_ahead + 1, dims.objects])
        mean, _, _ = self.posterior(proprio, objects)
        self.low_level(mean[:, 0], proprio[:, 0])

    def posterior(
        self, proprio: tf.Tensor, objects: tf.Tensor, noise: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """q(z_{1:T} | x) along one draw.

        Args:
          proprio: [B, T+L, P], objects: [B, T+L, O], normalised.
          noise: standard normal [B, T, Z]; None takes every mean as the draw.

        Returns:
          Mean, standard deviation and draw, each [B, T, Z]. The z_0 of an
          autoregressive encoder is 0.
        """
        frames = tf.concat([proprio, objects], axis=-1)
        embedded = self.encoder.embed(look_ahead_frames(frames, self.config.look_ahead))
        if not self.encoder.is_autoregressive:
            mean, stddev = self.encoder(embedded)
            return mean, stddev, mean if noise is None else mean + stddev * noise
        latent = tf.zeros([tf.shape(embedded)[0], self.config.latent_dim])
        means, stddevs, latents = [], [], []
        for t, hidden in enumerate(tf.unstack(embedded, axis=1)):
            mean, stddev = self.encoder(hidden, latent)
            latent = mean if noise is None else mean + stddev * noise[:, t]
            means.append(mean)
            stddevs.append(stddev)
            latents.append(latent)
        return tuple(tf.stack(parts, axis=1) for parts in (means, stddevs, latents))
