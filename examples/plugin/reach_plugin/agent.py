"""An agent: MPO whose policy network learns later than its critic."""

from __future__ import annotations

import dataclasses

from agents.mpo.config import ActionMPOConfig
from agents.mpo.gaussian import GaussianMPOBuilder
from agents.offline.frozen import FrozenModel


@dataclasses.dataclass(frozen=True)
class PatientMPOConfig(ActionMPOConfig):
    """Configuration of MPO whose critic learns alone at first.

    Attributes:
      patience: learner steps before the policy changes.
    """

    patience: int = 500

    def __post_init__(self) -> None:
        """Takes the patience for the critic's own steps."""
        object.__setattr__(self, "critic_warmup_steps", self.patience)
        super().__post_init__()


def make_builder(
    config: PatientMPOConfig, frozen: FrozenModel | None
) -> GaussianMPOBuilder:
    """Makes the builder; any bundle gives its observation statistics."""
    statistics = None if frozen is None else frozen.observation_statistics()
    return GaussianMPOBuilder(config, statistics)
