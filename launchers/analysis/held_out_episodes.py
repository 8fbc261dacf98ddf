"""Held-out episodes with the expert's phases, and posteriors of models along them.

The phases are labels for analysis; no model sees them. Shape letters: T control steps,
L look-ahead, P proprioception, O objects, K skills, Z latent.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from agents.helms.frozen import Skills
from agents.npmp.frozen import NpmpSkills
from datasets import loader
from datasets.rlds import reader, schema
from datasets.rlds.columns import OWN, Columns
from datasets.validation import inspection


@dataclasses.dataclass(frozen=True)
class Episode:
    """A held-out episode.

    Attributes:
      index: index in the data set.
      task: "" where the data set does not record it.
      success: None where the data set does not record it.
      proprio: [T+1, P] raw; objects: [T+1, O].
      phases: int [T] into `HeldOutEpisodes.phase_names`; -1 where there is none.
    """

    index: int
    task: str
    success: bool | None
    proprio: np.ndarray
    objects: np.ndarray
    phases: np.ndarray

    @property
    def num_steps(self) -> int:
        """The number of control steps, T."""
        return len(self.phases)

    def observation(self) -> dict[str, tf.Tensor]:
        """Returns the models' observations at each control step: [T, P] and [T, O]."""
        steps = self.num_steps
        return {
            "proprio": tf.constant(self.proprio[:steps]),
            "objects": tf.constant(self.objects[:steps]),
        }

    def window(self, look_ahead: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the episode as a window [1, T+L, P], [1, T+L, O]; repeats its end."""
        frames = np.arange(self.num_steps + look_ahead)
        frames = np.minimum(frames, len(self.proprio) - 1)
        return (
            tf.constant(self.proprio[frames][None]),
            tf.constant(self.objects[frames][None]),
        )


@dataclasses.dataclass(frozen=True)
class HeldOutEpisodes:
    """Episodes and the names of their phases (none where no episode is labelled)."""

    episodes: tuple[Episode, ...]
    phase_names: tuple[str, ...]


def held_out(
    directory: str | os.PathLike[str], most: int, columns: Columns = OWN
) -> HeldOutEpisodes:
    """Reads the last tenth of a data set, which training does not see.

    Args:
      directory: directory of the data set.
      most: maximum number of episodes, taken evenly spread where there are more.
      columns: features that the models were learned from.

    Raises:
      ValueError: in one line, for a data set that cannot be used.
    """
    # Raises where there is no data set.
    source = reader.Records(
        directory, reader.REQUIRED if columns.is_own else ("observation",)
    )
    columns = columns.resolved(source)
    count = loader.num_held_out(source.num_episodes)
    first = source.num_episodes - count

    def refuse(problem: reader.Problem) -> None:
        raise ValueError(f"data set {directory} is damaged: {problem}")

    kept = np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))
    names: dict[str, int] = {}
    labelled = [
        _episode(record, names, columns)
        for i, record in enumerate(source.episodes(refuse, first))
        if i in kept
    ]
    episodes = [episode for episode in labelled if episode is not None]
    if not episodes:
        raise ValueError(f"data set {directory} has no valid held-out episode")
    return HeldOutEpisodes(tuple(episodes), tuple(names))


def _episode(
    record: reader.Episode, names: dict[str, int], columns: Columns
) -> Episode | None:
    steps, metadata = record.steps, record.metadata
    num_steps = len(steps[columns.action[0]]) - 1
    if num_steps < 1 or metadata.get("invalid", False):
        return None
    phases = np.full(num_steps, schema.UNKNOWN_PHASE, np.int64)
    own = inspection.phase_names(record) or []
    if own and "expert_phase" in steps:
        # Experts may order the names of their phases differently.
        numbers = np.array([names.setdefault(str(name), len(names)) for name in own])
        numbered = np.asarray(steps["expert_phase"][:-1])
        known = (numbered >= 0) & (numbered < len(own))
        phases[known] = numbers[numbered[known]]
    task, success = metadata.get("task", ""), metadata.get("success")
    return Episode(
        index=record.index,
        task=task,
        success=None if success is None else bool(success),
        phases=phases,
        **columns.observations(record.observation, task),
    )


def skill_posteriors(skills: Skills, episodes: Sequence[Episode]) -> list[np.ndarray]:
    """Computes q(y_t | x_{1:t}) along whole episodes: [T, K] each."""
    return [
        skills.posterior(*episode.window(skills.look_ahead))[0].numpy()
        for episode in episodes
    ]


def skill_latents(skills: Skills, episodes: Sequence[Episode]) -> list[np.ndarray]:
    """Computes mean and stddev of q(z | y, x) for every skill: [T, 2, K, Z] each."""
    return [
        np.stack([p.numpy() for p in skills.mid_level(episode.observation())], axis=1)
        for episode in episodes
    ]


def encoded_latents(
    skills: NpmpSkills, episodes: Sequence[Episode]
) -> list[np.ndarray]:
    """Computes mean and stddev of q(z_t | x) along whole episodes: [T, 2, Z] each."""
    return [
        np.stack(
            [p[0].numpy() for p in skills.encode(*episode.window(skills.look_ahead))],
            axis=1,
        )
        for episode in episodes
    ]
