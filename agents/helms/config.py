"""Configuration of HeLMS (Table 5 of arXiv:2112.05062) and of its two ablations."""

from __future__ import annotations

import dataclasses

from agents.offline.config import LatentConfig, check_integer, check_number

VARIANTS = ("full", "discrete", "continuous")


@dataclasses.dataclass(frozen=True)
class HelmsConfig(LatentConfig):
    """Configuration of a skill model and its training; the defaults are Table 5's.

    Attributes:
      variant: full; discrete, whose mid level has no variance, so that a skill's latent
        is a function of x and its KL does not count; or continuous, with one skill.
      num_skills: number of skills K.
      look_ahead: steps after t that the high level sees besides t.
      initial_stay_probability: probability of staying in a skill in the initial
        transition prior and high level; 0: uniform.
      initial_latent_spread: standard deviation of the skills' initial latent means.
      beta_y: weight of the categorical KL.
      balance: weight of the entropy of a batch's mean use of the skills, nats per step,
        which keeps all skills in use; 0: the paper.
      switch_cost: nats that a switch to another skill costs the posterior, so that
        skills last; 0: the paper.
    """

    # Model.
    variant: str = "full"  # one of VARIANTS
    num_skills: int = 5  # the paper: 5 for red_on_blue, 10 for all_pairs
    look_ahead: int = 5  # type: ignore[misc]  # the base has it fixed

    # Initial weights. They break the symmetry of the skills but prefer none: the high
    # level starts near the transition prior, and the skills' latents start apart.
    initial_stay_probability: float = 0.0
    initial_latent_spread: float = 1.0

    # Objective (Eq. 3), besides `beta_z`.
    beta_y: float = 1.0
    balance: float = 0.0
    switch_cost: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in VARIANTS:
            raise ValueError(
                f"unknown variant {self.variant!r}; valid: {', '.join(VARIANTS)}"
            )
        # Learning and acting evaluate every skill.
        check_integer("num_skills", self.num_skills, low=1, high=1024)
        if self.variant == "continuous" and self.num_skills != 1:
            raise ValueError(
                "variant continuous is a single Gaussian: num_skills must be 1, got "
                f"{self.num_skills}"
            )
        for name in ("beta_y", "balance", "switch_cost", "initial_latent_spread"):
            check_number(name, getattr(self, name), positive=False)
        if not 0.0 <= self.initial_stay_probability < 1.0:
            raise ValueError(
                "initial_stay_probability must be in [0, 1), got "
                f"{self.initial_stay_probability}"
            )
