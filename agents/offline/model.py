"""Interface of offline models: an objective, and sums to report.

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

_ACTIVE_NATS = 0.01  # a latent dimension with less KL than this is not in use


class LossOutput(NamedTuple):
    """Result of a model on a batch; masked steps do not count."""

    objective: tf.Tensor  # [B], what training maximises, summed over valid steps, nats
    sums: dict[str, tf.Tensor]  # over all valid steps; `log_likelihood` is among them


class OfflineModel(abc.ABC):
    """Model that `OfflineLearner` trains; its networks hold all its variables."""

    networks_type: ClassVar[type[OfflineNetworks]]
    config_type: ClassVar[type[OfflineConfig]]

    def __init__(self, networks: OfflineNetworks):
        self.networks = networks
        self.config = networks.config

    @abc.abstractmethod
    def terms(
        self, batch: Batch, seed: tf.Tensor, evaluation: bool = False
    ) -> LossOutput:
        """Computes the objective and the sums; differentiable, without state.

        Args:
          batch: see `Batch`; not normalised.
          seed: int32 [2], seed of every draw.
          evaluation: whether to add the sums that only evaluation reports.

        Returns:
          `LossOutput`. In the sums of every model, `log_likelihood` is the action's log
          likelihood in nats, in expectation under the posterior, and `action_mse` the
          action's squared error at the posterior's mean, per dimension.
        """

    def metrics(self, means: Mapping[str, np.ndarray]) -> dict[str, float | list]:
        """Returns the metrics of evaluation, from the sums' means over valid steps."""
        return {key: value.tolist() for key, value in means.items()}


def active_latents(kl_per_dimension: np.ndarray) -> int:
    """Returns how many dimensions of a mean KL [Z] have at least 0.01 nats."""
    return int(np.sum(kl_per_dimension > _ACTIVE_NATS))
