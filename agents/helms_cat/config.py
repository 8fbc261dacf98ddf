"""Configuration of HeLMS-cat: that of categorical MPO, and how skills are run."""

from __future__ import annotations

import dataclasses

from agents.high_level.config import HighLevelOptions
from agents.mpo.config import CategoricalMPOConfig


@dataclasses.dataclass(frozen=True)
class HelmsCatConfig(HighLevelOptions, CategoricalMPOConfig):
    """Options of HeLMS-cat.

    Attributes:
      sample_latent: whether a skill's z is drawn from q(z|y, x), or is its mean.
    """

    sample_latent: bool = True  # the paper
