"""Frozen form of HeLMS: the skills that RL and the analysis use.

Shape letters: B batch, T time, L look-ahead, K skills, Z latent, D action,
P proprioception, O objects; `...` any leading dimensions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import tensorflow as tf

from agents.helms.config import HelmsConfig
from agents.helms.networks import HelmsNetworks
from agents.losses import elbo
from agents.offline import bundle
from agents.offline.frozen import FrozenLatentModel, Observation


class Skills(FrozenLatentModel):
    """Frozen mid level, low level, transition prior and offline high level."""

    model = "helms"
    config_type = HelmsConfig
    networks_type = HelmsNetworks
    config: HelmsConfig

    def __init__(self, networks: HelmsNetworks, description: Mapping[str, object]):
        super().__init__(networks, description)
        self.num_skills = networks.config.num_skills

    def mid_level(self, observation: Observation) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mean and stddev of q(z | y, x) for all y, both [..., K, Z]."""
        return self._networks.latent(*self._features(observation))

    def mid_level_of(
        self, skill: tf.Tensor, observation: Observation
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns q(z | y, x) of one skill [...] per observation: both [..., Z]."""
        return self._networks.latent_of_skill(skill, *self._features(observation))

    def decode(
        self,
        skill: tf.Tensor,
        observation: Observation,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns the actions of skills; works within `tf.function`: it has no state.

        Args:
          skill: int32 [...].
          observation: has the leading dimensions of `skill`.
          seed: int32 [2] for the draw of z; None takes the mean of z.

        Returns:
          [..., D] in [-1, 1], the low level's mean.
        """
        latent, stddev = self.mid_level_of(skill, observation)
        if seed is not None:
            latent += stddev * tf.random.stateless_normal(tf.shape(latent), seed)
        return self.low_level(latent, observation)

    def transition_matrix(self) -> tf.Tensor:
        """Returns p(y_t | y_{t-1}) as [K, K], with a row for each y_{t-1}."""
        return tf.nn.softmax(self._networks.prior_logits)

    def transition_log_probs(self) -> tf.Tensor:
        """Returns the logarithm of `transition_matrix`, exact where that underflows."""
        return tf.nn.log_softmax(self._networks.prior_logits)

    def posterior(self, proprio: tf.Tensor, objects: tf.Tensor) -> tf.Tensor:
        """Returns q(y_t | x_{1:t}) [B, T, K] of raw [B, T+L, P] and [B, T+L, O]."""
        features = self._networks.normalize(proprio, objects)
        transitions = tf.nn.softmax(self._networks.posterior_logits(*features))
        return elbo.skill_marginals(transitions)[:, 1:]

    def likeliest(self, proprio: tf.Tensor, objects: tf.Tensor) -> tf.Tensor:
        """Returns the likeliest skill of `posterior`, int32 [B, T]."""
        posterior = self.posterior(proprio, objects)
        return tf.argmax(posterior, axis=-1, output_type=tf.int32)


def load(
    directory: str | os.PathLike[str],
    proprio_dim: int | None = None,
    object_dim: int | None = None,
    action_dim: int | None = None,
) -> Skills:
    """Reads a bundle of HeLMS; see `agents.registry.load_bundle`."""
    return bundle.load(Skills, directory, proprio_dim, object_dim, action_dim)
