"""Configuration of HeLMS-cat: that of categorical MPO and of the high level."""

from __future__ import annotations

import dataclasses

from agents.high_level.config import HighLevelOptions
from agents.mpo.config import CategoricalMPOConfig


@dataclasses.dataclass(frozen=True)
class HelmsCatConfig(HighLevelOptions, CategoricalMPOConfig):
    """Configuration of HeLMS-cat.

    Attributes:
      sample_latent: whether a skill's z is drawn from q(z|y, x) or is the mean of that.
    """

    sample_latent: bool = True  # the paper
