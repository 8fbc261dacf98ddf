"""Configuration of an analysis."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from environments import EnvironmentConfig, scene, stacking

LATENTS = ("sampled", "mean")


@dataclasses.dataclass(frozen=True)
class AnalysisConfig:
    """Configuration of an analysis.

    Attributes:
      skills: directory of the bundle to analyse.
      out: directory of the results.
      bundles: directories of bundles of other models.
      dataset: directory of a data set whose held-out episodes are analysed, or None.
      dataset_episodes: maximum number of held-out episodes.
      episodes: rollouts per skill.
      steps: control steps of a rollout.
      latent: z of a rollout: drawn from the mid level, or its mean.
      environment: environment of table 1 and the ceiling; rollouts use its object set.
        One from elsewhere gets zero-shot returns in place of table 1, and no rollouts.
      table1_episodes: episodes per agent of either table; 0 for no table.
      ceiling_episodes: episodes per row of the ceiling; 0 for none. Needs a data set;
        where it has several tasks or object sets, the episodes take them in turns.
      skill_steps: control steps for which a skill is held; one row for each number, in
        the ceiling and for table 1's HeLMS with a fresh high level.
      processes: number of processes that run episodes.
      seed: seed of every draw.
    """

    skills: str
    out: str
    bundles: tuple[str, ...] = ()
    dataset: str | None = None
    dataset_episodes: int = 200
    episodes: int = 20
    steps: int = 200
    latent: str = "sampled"
    environment: EnvironmentConfig = EnvironmentConfig.paper()
    table1_episodes: int = 200
    ceiling_episodes: int = 0
    skill_steps: tuple[int, ...] = (1, 5, 10)
    processes: int = dataclasses.field(
        default_factory=lambda: len(os.sched_getaffinity(0))
    )
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for the first invalid value."""
        scene.one_of("latent", self.latent, LATENTS)
        if not 1 <= self.steps <= stacking.EPISODE_STEPS:
            raise ValueError(
                f"steps is {self.steps}; valid: 1 to {stacking.EPISODE_STEPS}"
            )
        for name, low in (
            ("episodes", 1),
            ("dataset_episodes", 1),
            ("table1_episodes", 0),
            ("ceiling_episodes", 0),
            ("processes", 1),
            ("seed", 0),
        ):
            if getattr(self, name) < low:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; valid: whole numbers from {low}"
                )
        check_skill_steps(self.skill_steps)
        if self.ceiling_episodes and self.dataset is None:
            raise ValueError("ceiling_episodes needs a dataset to distil on")
        out = pathlib.Path(self.out)
        if out.exists() and not out.is_dir():
            raise ValueError(f"{out} is not a directory")


def check_skill_steps(skill_steps: Sequence[int]) -> None:
    """Raises ValueError unless all are whole numbers from 1, each once."""
    if not skill_steps or len(set(skill_steps)) < len(skill_steps):
        raise ValueError("skill_steps must name a number of steps, each once")
    for steps in skill_steps:
        if steps < 1:
            raise ValueError(f"skill_steps is {steps}; valid: whole numbers from 1")


def describe(environment: EnvironmentConfig, where: str | None = None) -> str:
    """Describes the environment; `where` replaces its task and object set."""
    randomized = "with" if environment.domain_randomization else "without"
    where = where or f"{environment.task}, object set {environment.object_set}"
    return (
        f"{where}, {randomized} domain randomisation, action delays of 0 to "
        f"{environment.max_action_delay} steps"
    )
