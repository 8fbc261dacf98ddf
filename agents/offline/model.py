"""What the offline learner asks of a model: an objective, and sums to report.

Shape letters: B batch, T time, L look-ahead, Z latent, D action, P proprioception,
O objects.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from agents.offline.config import OfflineConfig
from agents.offline.networks import OfflineNetworks

# proprio [B, T+L, P], objects [B, T+L, O], action [B, T, D], mask [B, T]; float32. The
# mask is 1 at valid steps; its zeros are a suffix of each sequence.
Batch = Mapping[str, tf.Tensor]

_ACTIVE_NATS = 0.01  # a latent dimension with less KL than this carries nothing


class LossOutput(NamedTuple):
    """What a model makes of a batch. Masked steps have no part in it."""

    objective: tf.Tensor  # [B] what training raises, summed over valid steps, nats
    sums: dict[str, tf.Tensor]  # over all valid steps; `log_likelihood` is among them


class OfflineModel(abc.ABC):
    """A model that `OfflineLearner` trains; its networks hold all its variables."""

    networks_type: ClassVar[type[OfflineNetworks]]
    config_type: ClassVar[type[OfflineConfig]]

    def __init__(self, networks: OfflineNetworks):
        self.networks = networks
        self.config = networks.config

    @abc.abstractmethod
    def terms(
        self, batch: Batch, seed: tf.Tensor, evaluation: bool = False
    ) -> LossOutput:
        """The objective and the sums; differentiable, without state.

        Args:
          batch: see `Batch`, not normalised.
          seed: int32 [2] of every draw.
          evaluation: add the sums that only evaluation reports.

        Returns:
          `LossOutput`. Of the sums, `log_likelihood` is that of the action, in nats, in
          expectation under the posterior, for every model; `action_mse` that of the
          action at the posterior's mean, per dimension.
        """

    def metrics(self, means: Mapping[str, np.ndarray]) -> dict[str, float | list]:
        """What evaluation reports, from the means over valid steps of all sums."""
        return {key: value.tolist() for key, value in means.items()}


def active_latents(kl_per_dimension: np.ndarray) -> int:
    """How many dimensions of a mean KL [Z] carry at least 0.01 nats."""
    return int(np.sum(kl_per_dimension > _ACTIVE_NATS))
