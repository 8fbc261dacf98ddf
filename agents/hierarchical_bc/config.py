"""Settings of hierarchical BC (arXiv:2112.05062, section 4.3)."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from agents.offline.config import (
    OfflineConfig,
    check_integer,
    check_number,
    check_stddev_bounds,
)


@dataclasses.dataclass(frozen=True)
class HierarchicalBcConfig(OfflineConfig):
    """What defines a hierarchical BC and its training; sizes are those of HeLMS."""

    # Its high level acts in the environment: it sees the present only, and its prior
    # is N(0, I). Not settings; `NpmpNetworks` reads them.
    look_ahead: ClassVar[int] = 0
    prior_coefficient: ClassVar[float] = 0.0

    latent_dim: int = 8
    min_stddev: float = 0.01  # of the high level
    max_stddev: float = 1.0
    beta_z: float = 0.1  # weight of the latent KL

    def __post_init__(self):
        super().__post_init__()
        check_integer("latent_dim", self.latent_dim, low=1)
        check_number("beta_z", self.beta_z, positive=False)
        check_stddev_bounds(self.min_stddev, self.max_stddev)
