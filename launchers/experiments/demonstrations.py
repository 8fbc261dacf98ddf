"""Demonstrations for RL: episodes of a data set of the run's task."""

from __future__ import annotations

import numpy as np

from agents.mpo.demonstrations import Episode
from datasets import loader
from datasets.rlds import files
from datasets.rlds.columns import BY_ROLE, OWN, Columns
from environments import EnvironmentConfig


def load(directory: str, environment: EnvironmentConfig) -> list[Episode]:
    """Reads all episodes; a second call for the same data set is cheap.

    Args:
      directory: directory of the data set.
      environment: environment of the run, whose task, reward and object set must be
        the data set's.

    Raises:
      ValueError: in one line, if the data set cannot be read or does not fit.
    """
    _check(directory, environment)
    data = loader.load(directory, _columns(environment))
    if data.reward is None or data.discount is None:
        raise ValueError(
            f"data set {directory} lacks rewards or discounts in its {files.FEATURES}"
        )
    # The executed action led to the reward, and is the one that RL stores.
    transition = ("executed_action", "reward", "discount")
    values = {
        key: getattr(data, key).numpy() for key in ("proprio", "objects", *transition)
    }
    episodes = []
    ends = np.cumsum(data.lengths)
    for end, length, name in zip(ends, data.lengths, data.names, strict=True):
        part = {key: value[end - length : end] for key, value in values.items()}
        for key in ("reward", "discount"):
            if not np.isfinite(part[key]).all():
                raise ValueError(f"data set {directory}: {name}: {key} not finite")
        episodes.append(
            Episode(
                {key: part[key] for key in ("proprio", "objects")},
                *(part[key][:-1] for key in transition),
            )
        )
    return episodes


def _columns(environment: EnvironmentConfig) -> Columns:
    if environment.environment is None:
        return BY_ROLE if environment.object_order == "role" else OWN
    bounds = environment.action_bounds
    return Columns(environment.proprio, environment.objects, bounds=bounds)


def _check(directory: str, environment: EnvironmentConfig) -> None:
    """Raises ValueError unless the manifest matches the run's environment."""
    settings = loader.manifest(directory).get("settings")
    if settings is None:
        raise ValueError(
            f"data set {directory} has no manifest.json that says its task and reward"
        )
    is_cell = environment.environment is None
    names = ("task", "reward", "object_set") if is_cell else ()
    for name in ("environment", *names):
        value = getattr(environment, name)
        if settings.get(name) != value:
            raise ValueError(
                f"data set {directory}: {files.MANIFEST} has {name} "
                f"{settings.get(name)!r}, the run {value!r}"
            )
