"""Configuration of HeLMS-mix: that of RHPO, and the origin of the components."""

from __future__ import annotations

import dataclasses

from agents.high_level.config import HighLevelOptions
from agents.mpo.config import check_not_negative, one_of
from agents.rhpo.config import RHPOConfig

COMPONENTS = ("posteriors", "frozen", "scratch")


@dataclasses.dataclass(frozen=True)
class HelmsMixConfig(HighLevelOptions, RHPOConfig):
    """Configuration of HeLMS-mix.

    Attributes:
      components: components of the mixture: posteriors, which start as the skills'
        q(z|y, x) and are trained; frozen, which stay as q(z|y, x); or scratch, new
        networks that only the KL of eta_z ties to the skills.
      min_component_stddev: lower bound of the standard deviations of the components
        and of their priors. A posterior is narrow where the low level ignores the
        latent, too; the KLs of such latents would rule the gradient.
    """

    components: str = "posteriors"  # one of COMPONENTS
    min_component_stddev: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("components", self.components, COMPONENTS)
        check_not_negative(self, "min_component_stddev")
        if self.components != "scratch" and "objects" not in self.policy_keys:
            raise ValueError(
                f"components {self.components} read objects, which the policy does not "
                "see; use components scratch"
            )
