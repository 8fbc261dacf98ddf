"""Low level p(a|z, x) of every model that has a latent (section 3.1, Table 5).

Shape letters: Z latent, D action, P proprioception; `...` any leading dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sonnet as snt
import tensorflow as tf

from agents.distributions.policies import Gaussian, Hybrid
from agents.networks.heads import ActionHead
from agents.networks.initializers import FanInNormal
from agents.networks.torsos import LeadingDims, make_mlp


class LowLevel(snt.Module):
    """Low level p(a_t | z_t, x_t): an MLP on z and proprioception, tanh on its mean."""

    def __init__(
        self,
        hidden_sizes: Sequence[int],
        action_dim: int,
        action_stddev: float,
        finger: str,
        rng: np.random.Generator,
    ):
        """Draws the initial weights from `rng`; for the rest see `ActionHead`."""
        super().__init__(name="low_level")
        w_init = FanInNormal(rng)
        first, *rest = hidden_sizes
        # First layer in two parts: the part of proprioception is computed once for all
        # skills. The sum of the parts has twice the variance of one; the two biases act
        # as one.
        self._from_proprio = LeadingDims(
            snt.Linear(first, w_init=w_init, name="from_proprio")
        )
        self._from_latent = LeadingDims(
            snt.Linear(first, with_bias=False, w_init=w_init, name="from_latent")
        )
        self._rest = make_mlp(rest, w_init=w_init) if rest else tf.identity
        self._head = ActionHead(
            action_dim, action_stddev, finger, w_init=FanInNormal(rng, 0.3)
        )

    def distribution(self, latent: tf.Tensor, proprio: tf.Tensor) -> Gaussian | Hybrid:
        """Maps latent [..., Z] and proprio [..., P] to the distribution [..., D].

        The leading dimensions broadcast: [B, K, Z] goes with [B, 1, P].
        """
        hidden = self._from_latent(latent) + self._from_proprio(proprio)
        return self._head(self._rest(tf.nn.elu(hidden)))

    def __call__(self, latent: tf.Tensor, proprio: tf.Tensor) -> tf.Tensor:
        """Returns the mean [..., D] of `distribution`, in (-1, 1)."""
        return self.distribution(latent, proprio).mean
