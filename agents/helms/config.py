"""Settings of HeLMS (Table 5 of arXiv:2112.05062) and of its two ablations."""

from __future__ import annotations

import dataclasses

from agents.offline.config import LatentConfig, check_integer, check_number

# discrete: the mid level's variance is zero, so that a skill's latent is a function of
# x and no KL of it is counted. continuous: one skill, a single Gaussian.
VARIANTS = ("full", "discrete", "continuous")


@dataclasses.dataclass(frozen=True)
class HelmsConfig(LatentConfig):
    """What defines a skill model and its training. The defaults are Table 5's."""

    # Model.
    variant: str = "full"  # one of VARIANTS
    num_skills: int = 5  # K; the paper: 5 for red_on_blue, 10 for all_pairs
    # Steps after t that the high level sees: t .. t + look_ahead.
    look_ahead: int = 5  # type: ignore[misc]  # the base has it fixed

    # Initial weights. They break the symmetry of the skills without choosing one: the
    # high level starts near the transition prior, the skills' latents start apart.
    initial_stay_probability: float = 0.0  # 0: a uniform transition prior
    initial_latent_spread: float = 1.0  # deviation of the skills' initial latent means

    # Objective (Eq. 3), beside `beta_z`.
    beta_y: float = 1.0
    # Weight of the entropy of a batch's mean use of the skills, nats a step; 0: the
    # paper. It keeps skills in use, which Eq. 3 alone may lose.
    balance: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in VARIANTS:
            raise ValueError(
                f"unknown variant {self.variant!r}; valid: {', '.join(VARIANTS)}"
            )
        check_integer("num_skills", self.num_skills, low=1)
        if self.variant == "continuous" and self.num_skills != 1:
            raise ValueError(
                "variant continuous is a single Gaussian: num_skills must be 1, got "
                f"{self.num_skills}"
            )
        for name in ("beta_y", "balance", "initial_latent_spread"):
            check_number(name, getattr(self, name), positive=False)
        if not 0.0 <= self.initial_stay_probability < 1.0:
            raise ValueError(
                "initial_stay_probability must be in [0, 1), got "
                f"{self.initial_stay_probability}"
            )
