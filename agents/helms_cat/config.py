"""Configuration of HeLMS-cat: that of MPO, and how skills are run."""

from __future__ import annotations

import dataclasses

from agents.mpo.config import MPOConfig

EVALUATIONS = ("sampled", "greedy")


@dataclasses.dataclass(frozen=True)
class HelmsCatConfig(MPOConfig):
    """Options of HeLMS-cat; eta_y is `prior_weight`."""

    # In evaluation the skill is drawn as in training, or the most likely one is taken.
    evaluation: str = "sampled"
    # Draw z from the mid level (the paper's z ~ q(z|y, x)), or take its mean.
    sample_latent: bool = True

    # Which observation groups each network reads; "proprio" and "objects" (Table 5).
    policy_keys: tuple[str, ...] = ("proprio", "objects")
    critic_keys: tuple[str, ...] = ("proprio", "objects")

    def __post_init__(self):
        super().__post_init__()
        if self.evaluation not in EVALUATIONS:
            raise ValueError(
                f"evaluation must be one of {', '.join(EVALUATIONS)}, got "
                f"{self.evaluation!r}"
            )
