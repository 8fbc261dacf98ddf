"""Autoencoder with one latent z per step, the base of NPMP and hierarchical BC.

Networks of arXiv:1811.11711 at the sizes of Table 5 of arXiv:2112.05062.

Shape letters: B batch, T time, L look-ahead steps, Z latent, H hidden, D action, P
proprioception, O objects, F encoder inputs. `...` stands for any leading dimensions.

The encoder sees proprioception and objects of the steps t .. t+L, the low level
proprioception at t. Under an AR(1) prior the encoder also sees z_{t-1}, as in the
original: the prior's mean is c z_{t-1}, which an encoder that does not know z_{t-1}
cannot follow, so that its KL would pay for every draw. Under N(0, I) z_{t-1} tells
nothing, and all steps are encoded in one pass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import sonnet as snt
import tensorflow as tf
from typing_extensions import override

from agents import networks
from agents.losses import latent_elbo
from agents.losses.masking import sum_valid
from agents.offline.config import LatentConfig
from agents.offline.model import Batch, LossOutput, OfflineModel, active_latents
from agents.offline.networks import (
    Dims,
    OfflineNetworks,
    Statistics,
    look_ahead_frames,
)


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig(LatentConfig):
    """Configuration of an autoencoder; a model may turn constants into fields."""

    # c of the prior p(z_t | z_{t-1}) = N(c z_{t-1}, (1 - c^2) I); 0: N(0, I).
    prior_coefficient: ClassVar[float] = 0.0


class Encoder(snt.Module):
    """Encoder q(z_t | z_{t-1}, x_t): an MLP with a diagonal Gaussian head."""

    def __init__(self, config: AutoencoderConfig, rng: np.random.Generator):
        super().__init__(name="encoder")
        self._bounds = (config.min_stddev, config.max_stddev)
        w_init = networks.FanInNormal(rng)
        first, *rest = config.hidden_sizes
        # First layer in two parts: only the part of z_{t-1} waits for z_{t-1}.
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
        """Applies the first layer's part that does not read z: [..., F] to [..., H]."""
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


class AutoencoderNetworks(OfflineNetworks):
    """Encoder and low level; construction makes their variables."""

    config: AutoencoderConfig

    def __init__(self, config: AutoencoderConfig, dims: Dims, statistics: Statistics):
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
        """Returns q(z_{1:T} | x) along one draw.

        Args:
          proprio: [B, T+L, P], objects: [B, T+L, O], normalised.
          noise: standard normal [B, T, Z]; None takes the means as draws.

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


class AutoencoderModel(OfflineModel):
    """Bound with one latent per step, by one reparametrised draw of each."""

    networks: AutoencoderNetworks
    config: AutoencoderConfig

    @override
    def terms(
        self, batch: Batch, seed: tf.Tensor, evaluation: bool = False
    ) -> LossOutput:
        networks, config = self.networks, self.config
        proprio, objects = networks.normalize(batch["proprio"], batch["objects"])
        shape = [tf.shape(proprio)[0], config.window, config.latent_dim]
        noise = tf.random.stateless_normal(shape, seed)
        mean, stddev, latent = networks.posterior(proprio, objects, noise)  # [B, T, Z]
        proprio = proprio[:, : config.window]
        latent_kl = latent_elbo.ar1_kl(mean, stddev, latent, config.prior_coefficient)
        bound, stats = latent_elbo.latent_elbo(
            log_likelihood=networks.low_level.distribution(latent, proprio).log_prob(
                batch["action"]
            ),
            latent_kl=tf.reduce_sum(latent_kl, axis=-1),
            mask=batch["mask"],
            beta_z=config.beta_z,
        )
        sums = {
            "log_likelihood": tf.reduce_sum(stats.log_likelihood),
            "latent_kl": tf.reduce_sum(stats.latent_kl),
        }
        if evaluation:
            squares = tf.square(batch["action"] - networks.low_level(mean, proprio))
            mse = sum_valid(tf.reduce_mean(squares, axis=-1), batch["mask"])
            per_dim = sum_valid(latent_kl, batch["mask"])  # [B, Z]
            sums["action_mse"] = tf.reduce_sum(mse)
            sums["latent_kl_per_dim"] = tf.reduce_sum(per_dim, axis=0)
        return LossOutput(bound, sums)

    def metrics(self, means: Mapping[str, np.ndarray]) -> dict[str, float | list]:
        """Adds active_latents: the number of dimensions with at least 0.01 nats."""
        means = dict(means)
        active = active_latents(means.pop("latent_kl_per_dim"))
        return {**super().metrics(means), "active_latents": active}
