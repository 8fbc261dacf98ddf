"""Configuration of HeLMS-cat: that of categorical MPO, and how skills are run."""

from __future__ import annotations

import dataclasses

from agents.mpo.config import CategoricalMPOConfig, check_high_level


@dataclasses.dataclass(frozen=True)
class HelmsCatConfig(CategoricalMPOConfig):
    """Options of HeLMS-cat."""

    # Draw z from the mid level (the paper's z ~ q(z|y, x)), or take its mean.
    sample_latent: bool = True
    high_level: str = "new"  # at the start; one of HIGH_LEVELS
    skill_steps: int = 1  # control steps that a skill is held; 1: the paper
    # The prior of eta_y: uniform (the paper), or the bundle's transition prior
    # p(y_t | y_{t-1}) given the skill of the last decision.
    skill_prior: str = "uniform"

    def __post_init__(self):
        """See `MPOConfig`."""
        super().__post_init__()
        check_high_level(self, self.high_level)
