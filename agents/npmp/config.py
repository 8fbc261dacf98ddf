"""Configuration of NPMP (arXiv:1811.11711) as the baseline of arXiv:2112.05062, A.2."""

from __future__ import annotations

import dataclasses

from agents.offline.autoencoder import AutoencoderConfig


@dataclasses.dataclass(frozen=True)
class NpmpConfig(AutoencoderConfig):
    """Configuration of NPMP and its training, with the sizes of HeLMS.

    Attributes:
      look_ahead: steps after t that the encoder sees besides t.
      prior_coefficient: coefficient c of the prior p(z_t | z_{t-1}) =
        N(c z_{t-1}, (1 - c^2) I); 0.95 is NPMP's, 0 is N(0, I).
    """

    look_ahead: int = 5  # type: ignore[misc]  # the base has it fixed
    # The best value in the paper (A.2).
    prior_coefficient: float = 0.0  # type: ignore[misc]  # the base has it fixed

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.prior_coefficient < 1.0:
            raise ValueError(
                f"prior_coefficient must be in [0, 1), got {self.prior_coefficient}"
            )
