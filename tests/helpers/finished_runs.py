"""Work directories of RL runs as `train_agent` leaves them, written in no time."""

from __future__ import annotations

import datetime
import pathlib
from collections.abc import Sequence
from typing import Any

from agents.mpo.config import ActionMPOConfig
from environments import EnvironmentConfig
from launchers.common import atomic_files, loggers
from launchers.experiments import record
from launchers.experiments.config import RunConfig

EPISODE_STEPS = 400
EPISODE_SECONDS = 10.0


def write(
    workdir: pathlib.Path,
    returns: Sequence[float],
    successes: Sequence[float],
    seed: int = 0,
    object_set: int = 4,
    **settings: Any,
) -> pathlib.Path:
    """Writes a run of MPO with an episode of 10 s for each return; returns `workdir`.

    The first start is at the Unix epoch.
    """
    config = RunConfig(
        skills=None,
        workdir=str(workdir),
        agent="mpo",
        environment=EnvironmentConfig.paper(object_set=object_set),
        seed=seed,
        agent_config=ActionMPOConfig(**settings),
    )
    record.check(config)
    set_starts(workdir, [0.0])
    logger = loggers.CsvLogger(workdir / "logs" / "actor_0" / "logs.csv")
    for i, (value, success) in enumerate(zip(returns, successes, strict=True), 1):
        logger.write(
            {
                "actor_steps": EPISODE_STEPS * i,
                "episode_length": EPISODE_STEPS,
                "episode_return": value,
                "steps_per_second": EPISODE_STEPS / EPISODE_SECONDS,
                "success": success,
                "time": EPISODE_SECONDS * i,
            }
        )
    return workdir


def set_starts(workdir: pathlib.Path, seconds: Sequence[float]) -> None:
    """Replaces the starts in a run's record by starts at these Unix times [s]."""
    path = workdir / "config.json"
    content = atomic_files.read_json(path)
    zone = datetime.timezone.utc
    content["starts"] = [
        {
            "time": datetime.datetime.fromtimestamp(s, zone).isoformat(),
            "code_version": "abc",
        }
        for s in seconds
    ]
    atomic_files.write_json(path, content)
