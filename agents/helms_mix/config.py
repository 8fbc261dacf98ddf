"""Configuration of HeLMS-mix: that of RHPO, and where its components come from."""

from __future__ import annotations

import dataclasses

from agents.mpo.config import check_high_level, one_of, resolve_skill_prior
from agents.rhpo.config import RHPOConfig

# posteriors: start as the frozen skills' q(z|y, x) and are trained; frozen: are these
# and stay so; scratch: new networks, which only the KL of eta_z ties to the skills.
COMPONENTS = ("posteriors", "frozen", "scratch")


@dataclasses.dataclass(frozen=True)
class HelmsMixConfig(RHPOConfig):
    """Options of HeLMS-mix."""

    components: str = "posteriors"  # one of COMPONENTS
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
        one_of("components", self.components, COMPONENTS)
        check_high_level(self, self.high_level)
        if self.components != "scratch" and "objects" not in self.policy_keys:
            raise ValueError(
                f"components {self.components} read objects, which the policy does not "
                "see; use components scratch"
            )
