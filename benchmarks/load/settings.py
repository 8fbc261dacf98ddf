"""What a measurement of light or real actors is made with."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import NamedTuple

import numpy as np

from benchmarks.load.episodes import Episode


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a run."""

    agent: str = "helms_mix"
    actors: int = 100
    steps_per_second: float = 0.0  # of all actors; 0: as fast as possible
    seconds: float = 60.0
    replay_size: int = 20_000  # sequences
    update_period: int = 400  # steps between an actor's fetches
    update_seconds: float = 1.0  # between the cacher's fetches
    processes: int = 2  # processes of light actors
    threads: int = 8  # threads in each
    actors_per_process: int = 1  # for real actors
    server_cores: float | None = None  # cores that a server may use; None: all
    seed: int = 0


class Inputs(NamedTuple):
    """Inputs of a run."""

    episodes: list[Episode]  # episodes that light actors replay
    variables: list[np.ndarray]  # variables that the learner serves
    logs: pathlib.Path  # directory for the nodes' output
