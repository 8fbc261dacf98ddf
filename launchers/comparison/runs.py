"""Runs of train_agent as a comparison reads them, in groups that differ by settings.

Shape letters: E episodes.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from environments import EnvironmentConfig
from launchers.common import loggers
from launchers.experiments import record

_MOST_LETTERS = 80  # of a group's label in a figure
_DIGITS = 8  # of a checksum that a person reads
_CHECKSUMS = ("skills", "demonstrations")


@dataclasses.dataclass(frozen=True)
class Run:
    """Run of one seed.

    Attributes:
      workdir: its work directory.
      seed: its seed.
      settings: all other settings that tell it from other runs, by name.
      code_version: code of its last start; "" where it is not recorded.
      steps: [E] environment steps of the run at the end of each episode.
      hours: [E] hours that the run has run then, without pauses between its starts.
      returns: [E] sums of rewards.
      successes: [E] 0 or 1; NaN where an environment does not say.
    """

    workdir: pathlib.Path
    seed: int
    settings: Mapping[str, Any]
    code_version: str
    steps: np.ndarray
    hours: np.ndarray
    returns: np.ndarray
    successes: np.ndarray


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that differ in the seed only, in order of the seeds."""

    label: str
    runs: tuple[Run, ...]

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of all its runs."""
        return self.runs[0].settings


def read(directories: Sequence[str]) -> list[Run]:
    """Reads runs.

    Args:
      directories: work directories; one of `train_agent --seeds` stands for its runs.

    Raises:
      ValueError: in one line, which of them is no run or has no episode.
    """
    found = [run for directory in directories for run in _workdirs(directory)]
    for i, workdir in enumerate(found):
        if workdir.resolve() in map(pathlib.Path.resolve, found[:i]):
            raise ValueError(f"{workdir} is given twice")
    return [_read(workdir) for workdir in found]


def group(runs: Sequence[Run]) -> list[Group]:
    """Groups runs that differ in the seed only, in the order of their first runs."""
    by_settings: dict[str, list[Run]] = {}
    for run in runs:
        key = json.dumps(run.settings, sort_keys=True)
        by_settings.setdefault(key, []).append(run)
    found = [sorted(group, key=lambda run: run.seed) for group in by_settings.values()]
    names = _labels([group[0].settings for group in found])
    return [Group(name, tuple(group)) for name, group in zip(names, found, strict=True)]


def differing(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Returns the settings that are not the same in all, as text.

    Returns:
      For each name a text for each of `settings`, "-" where it has none such.
    """
    names = dict.fromkeys(name for each in settings for name in each)
    texts = {name: [_text(name, each) for each in settings] for name in names}
    return {name: values for name, values in texts.items() if len(set(values)) > 1}


def _workdirs(directory: str) -> list[pathlib.Path]:
    root = pathlib.Path(directory)
    if (root / record.CONFIG).is_file():
        return [root]
    seeds = sorted(path.parent for path in root.glob(f"seed_*/{record.CONFIG}"))
    if not seeds:
        raise ValueError(
            f"no run in {directory}; valid: a workdir of train_agent, which has a "
            f"{record.CONFIG}, or one of train_agent --seeds"
        )
    return seeds


def _read(workdir: pathlib.Path) -> Run:
    settings = record.identity(workdir / record.CONFIG)
    rows = loggers.actor_rows(str(workdir))
    if not rows:
        raise ValueError(f"the run in {workdir} has no episode yet")
    starts = record.starts(workdir / record.CONFIG)
    return Run(
        workdir=workdir,
        seed=settings.pop("seed"),
        settings=settings,
        code_version=starts[-1]["code_version"] if starts else "",
        steps=np.array([row["actor_steps"] for row in rows]),
        hours=_hours(rows, [_seconds(start["time"]) for start in starts]),
        returns=np.array([row["episode_return"] for row in rows]),
        successes=np.array([row.get("success", math.nan) for row in rows]),
    )


def _hours(rows: Sequence[Mapping[str, float]], starts: Sequence[float]) -> np.ndarray:
    """Returns the hours [E] that a run has run at each row.

    Args:
      rows: its episodes, by time.
      starts: times of its starts [s]; a record of old has none or lacks the first.
    """
    times = np.array([row["time"] for row in rows])
    first = rows[0]
    episode = first["episode_length"] / max(first["steps_per_second"], 1e-9)
    begins = [start for start in starts if start > times[0]]
    begins.insert(
        0, max([s for s in starts if s <= times[0]], default=times[0] - episode)
    )
    seconds, elapsed = np.zeros(len(times)), 0.0
    for begin, end in itertools.pairwise([*begins, math.inf]):
        inside = (times >= begin) & (times < end)
        if inside.any():
            seconds[inside] = elapsed + times[inside] - begin
            elapsed = seconds[inside][-1]
    return seconds / 3600


def _seconds(time: str) -> float:
    return datetime.datetime.fromisoformat(time).timestamp()


def _text(name: str, settings: Mapping[str, Any]) -> str:
    value = settings.get(name, "-")
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)[:_DIGITS] if name in _CHECKSUMS and value else str(value)


def _labels(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names each of these by its agent and by what tells it from the others.

    That is what of the environment is not the same in all, and what of the rest is not
    the same in all of the agent, without the values that over half of them have.
    """
    everywhere, labels = _differing_rarely(settings), []
    names = {field.name for field in dataclasses.fields(EnvironmentConfig)}
    for i, own in enumerate(settings):
        peers = [each for each in settings if each["agent"] == own["agent"]]
        of_agent = _differing_rarely(peers)
        parts = [
            f"{name}={text}"
            for name in dict.fromkeys([*everywhere, *of_agent])
            if name != "agent"
            and (text := _text(name, own))
            in (everywhere if name in names else of_agent).get(name, ())
        ]
        label = ", ".join([own["agent"], *parts])
        labels.append(
            label if len(label) <= _MOST_LETTERS else f"{own['agent']} ({i + 1})"
        )
    return labels


def _differing_rarely(settings: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Returns the texts of `differing` that at most half of these have."""
    return {
        name: {text for text in texts if 2 * texts.count(text) <= len(texts)}
        for name, texts in differing(settings).items()
    }
