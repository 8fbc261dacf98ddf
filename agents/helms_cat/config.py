"""Configuration of HeLMS-cat: that of categorical MPO, and how skills are run."""

from __future__ import annotations

import dataclasses

from agents.mpo.config import (
    CategoricalMPOConfig,
    check_high_level,
    resolve_skill_prior,
)


@dataclasses.dataclass(frozen=True)
class HelmsCatConfig(CategoricalMPOConfig):
    """Options of HeLMS-cat."""

    # Draw z from the mid level (the paper's z ~ q(z|y, x)), or take its mean.
    sample_latent: bool = True
    high_level: str = "new"  # at the start; one of HIGH_LEVELS
    # Control steps that a skill is held; 1: the paper.
    skill_steps: int = 1  # type: ignore[misc]  # the base has it fixed
    # Of eta_y; one of SKILL_PRIORS. None: uniform (the paper), but distilled where the
    # high level starts so.
    skill_prior: str | None = None  # type: ignore[misc]  # the base has it fixed

    def __post_init__(self) -> None:
        """See `MPOConfig`."""
        resolve_skill_prior(self, self.high_level)
        super().__post_init__()
        check_high_level(self, self.high_level)
