"""What an analysis is asked for."""

from __future__ import annotations

import dataclasses
import os
import pathlib

from environments import factory, scene, stacking

LATENTS = ("sampled", "mean")


@dataclasses.dataclass(frozen=True)
class AnalysisConfig:
    """Everything that decides what an analysis shows.

    Attributes:
      skills: directory of the bundle that is analysed.
      out: directory of the results.
      bundles: directories of bundles of other models.
      dataset: directory of a data set whose held-out episodes are looked at, or None.
      dataset_episodes: held-out episodes at most.
      episodes: rollouts a skill.
      steps: control steps of a rollout.
      latent: whether a rollout's z is drawn from the mid level, or its mean.
      object_set: of the rollouts and of table 1, as of `environments.make`.
      task, domain_randomization, max_action_delay: of table 1; as RL has them.
      table1_episodes: episodes an agent; 0 for no table.
      processes: that run episodes.
      seed: of every draw.
    """

    skills: str
    out: str
    bundles: tuple[str, ...] = ()
    dataset: str | None = None
    dataset_episodes: int = 200
    episodes: int = 20
    steps: int = 200
    latent: str = "sampled"
    object_set: int | str = 4
    task: str = "stack_red_blue"
    domain_randomization: bool = True
    max_action_delay: int = 2
    table1_episodes: int = 200
    processes: int = dataclasses.field(
        default_factory=lambda: len(os.sched_getaffinity(0))
    )
    seed: int = 0

    def __post_init__(self):
        """Raises ValueError, in one line, for the first value that is not valid."""
        factory.validate(
            self.task, "dense", self.object_set, max_action_delay=self.max_action_delay
        )
        scene.one_of("latent", self.latent, LATENTS)
        if not 1 <= self.steps <= stacking.EPISODE_STEPS:
            raise ValueError(
                f"steps is {self.steps}; valid: 1 to {stacking.EPISODE_STEPS}"
            )
        for name, low in (
            ("episodes", 1),
            ("dataset_episodes", 1),
            ("table1_episodes", 0),
            ("processes", 1),
            ("seed", 0),
        ):
            if getattr(self, name) < low:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; valid: whole numbers from {low}"
                )
        out = pathlib.Path(self.out)
        if out.exists() and not out.is_dir():
            raise ValueError(f"{out} is not a directory")
