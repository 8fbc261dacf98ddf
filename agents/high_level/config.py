"""Configuration of the agents that have a high level over skills."""

from __future__ import annotations

import dataclasses

from agents.mpo.config import MPOConfig, check_positive, one_of

# new: drawn from the seed; distilled: from the skills' posterior, as the bundle holds
# it (`agents.high_level.distillation`).
HIGH_LEVELS = ("new", "distilled")
# Prior of the high level, which eta_y weighs: uniform (the paper), transition (the
# bundle's p(y_t | y_{t-1}) given the last decision's skill), or distilled (the bundle's
# high level).
SKILL_PRIORS = ("uniform", "transition", "distilled")


@dataclasses.dataclass(frozen=True)
class HighLevelOptions:
    """Options of the high level; a configuration inherits them before `MPOConfig`.

    Attributes:
      high_level: high level at the start: new; or distilled from the skills' posterior,
        which analyse_skills and benchmarks.ceiling leave in the bundle.
      start_temperature: temperature of a distilled start, by which its logits are
        divided; above 1 it tries more skills, whose values the critic then learns.
      skill_steps: control steps that a skill is held, from 1 to 399; replay then holds
        decisions.
      skill_prior: prior of the skills' probabilities, which eta_y weighs: uniform;
        transition, the bundle's p(y_t | y_{t-1}) given the last decision's skill; or
        distilled, the bundle's high level, the default where that is also the start.
    """

    high_level: str = "new"  # one of HIGH_LEVELS; the paper
    start_temperature: float = 1.0
    skill_steps: int = 1  # the paper
    # One of SKILL_PRIORS. None: uniform (the paper), but distilled where the high level
    # starts so: a KL to the uniform would undo that start before the critic knows
    # anything.
    skill_prior: str | None = None

    def __post_init__(self) -> None:
        """Resolves a skill_prior of None and checks the values."""
        if self.skill_prior is None:
            prior = "distilled" if self.high_level == "distilled" else "uniform"
            object.__setattr__(self, "skill_prior", prior)
        super().__post_init__()  # type: ignore[misc]  # the MPOConfig beside it
        one_of("high_level", self.high_level, HIGH_LEVELS)
        one_of("skill_prior", self.skill_prior, SKILL_PRIORS)
        assert isinstance(self, MPOConfig)
        check_positive(self, "start_temperature")
        if self.high_level != "distilled" and self.start_temperature != 1.0:
            raise ValueError(
                f"start_temperature {self.start_temperature} is of high_level "
                f"distilled, not {self.high_level}"
            )
        if self.needs_distilled and set(self.policy_keys) != {"proprio", "objects"}:
            raise ValueError(
                "the distilled high level reads proprio and objects, and this agent's "
                f"policy {', '.join(self.policy_keys)}; use high_level new and "
                "skill_prior uniform or transition"
            )

    @property
    def stores_skills(self) -> bool:
        """Whether replay stores skills, which the transition prior reads."""
        return self.skill_prior == "transition"

    @property
    def needs_distilled(self) -> bool:
        """Whether the bundle's distilled high level is read."""
        return "distilled" in (self.high_level, self.skill_prior)
