"""Base of the networks of every offline model: sizes, normalisation, look-ahead.

Shape letters: B batch, T time, L look-ahead steps, D action, P proprioception,
O objects, F features. `...` stands for any leading dimensions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import sonnet as snt
import tensorflow as tf

from agents import networks
from agents.offline.config import OfflineConfig

# Mean and standard deviation of each feature, for "proprio" [P] and "objects" [O].
Statistics = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Dims:
    """Sizes of a model's observations and action."""

    proprio: int  # P
    objects: int  # O
    action: int  # D

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if value < 1:
                raise ValueError(f"dimension {name} must be at least 1, got {value}")


def unit_statistics(dims: Dims) -> Statistics:
    """Returns statistics that do not change inputs, except that these clip at +-10."""
    return {
        "proprio": (np.zeros(dims.proprio), np.ones(dims.proprio)),
        "objects": (np.zeros(dims.objects), np.ones(dims.objects)),
    }


def look_ahead_frames(frames: tf.Tensor, look_ahead: int) -> tf.Tensor:
    """Concatenates the frames t .. t+L: [B, T+L, F] -> [B, T, (L+1) F]."""
    num_steps = frames.shape[1] - look_ahead
    if num_steps < 1:
        raise ValueError(
            f"a look-ahead of {look_ahead} needs more than {look_ahead} frames, "
            f"got {frames.shape[1]}"
        )
    shifted = [frames[:, shift : shift + num_steps] for shift in range(look_ahead + 1)]
    return tf.concat(shifted, axis=-1)


class OfflineNetworks(snt.Module):
    """Base of a model's networks; construction makes all variables.

    A subclass takes (config, dims, statistics) and draws its initial weights from
    `config.seed`.
    """

    model: ClassVar[str]  # name of the model in bundles and on the command line

    def __init__(self, config: OfflineConfig, dims: Dims, statistics: Statistics):
        """Keeps sizes and statistics.

        Args:
          config: sizes and initial values.
          dims: sizes of the observation groups and the action.
          statistics: see `Statistics`; of the raw observations.

        Raises:
          ValueError: the statistics do not have the sizes of `dims`.
        """
        super().__init__(name=self.model)
        self.config, self.dims = config, dims
        for name, size in (("proprio", dims.proprio), ("objects", dims.objects)):
            if len(statistics[name][0]) != size:
                raise ValueError(
                    f"statistics of {name} have {len(statistics[name][0])} values, "
                    f"not {size}"
                )
        self.normalize_proprio = networks.Normalizer(
            *statistics["proprio"], name="normalize_proprio"
        )
        self.normalize_objects = networks.Normalizer(
            *statistics["objects"], name="normalize_objects"
        )

    def normalize(
        self, proprio: tf.Tensor, objects: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Normalises raw proprio [..., P] and objects [..., O]."""
        return self.normalize_proprio(proprio), self.normalize_objects(objects)

    def statistics(self) -> Statistics:
        """Returns the mean and (floored) deviation that `normalize` uses."""
        return {
            "proprio": self.normalize_proprio.statistics(),
            "objects": self.normalize_objects.statistics(),
        }
