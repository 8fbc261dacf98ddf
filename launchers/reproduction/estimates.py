"""Estimates of how long the parts of a plan take at scale laptop."""

from __future__ import annotations

import math
import os
import time

import numpy as np

import environments
from launchers.reproduction.runs import Run

DISTILLATION_SECONDS = 150.0

# Control steps a second, on one core of a machine whose environment takes _REFERENCE of
# them, of a run at scale laptop and of a collection by one process. Those of helms_cat
# and bc were measured; all others are estimates.
_REFERENCE = 420.0
_RUN_RATES = {
    "helms_cat": 100.0,
    "helms_mix": 50.0,
    "npmp": 60.0,
    "mpo": 30.0,
    "bc": 27.0,
    "hierarchical_bc": 25.0,
}
_VISION_RATE = 4.5  # of helms_mix, measured
_COLLECT_RATE = 250.0
_ANALYSIS_RATE = 150.0  # control steps a second of rollouts
_EPISODE = 400  # control steps


def training_seconds(model: str) -> float:
    """Returns the seconds of a training at scale laptop; measured for helms and bc."""
    return 1500.0 if model == "helms" else 300.0


def run_seconds(run: Run, steps: int) -> float:
    """Returns the seconds in which one core of the reference takes steps of a run."""
    if run.settings.get("observations") == "vision":
        return steps / _VISION_RATE
    return steps / _RUN_RATES[str(run.settings["agent"])]


def collection_seconds(episodes: int) -> float:
    """Returns the seconds of a collection on as many cores as this process may use."""
    return _episode_seconds(episodes, _COLLECT_RATE)


def rollout_seconds(episodes: int) -> float:
    """Returns the seconds of an analysis's rollouts on the cores of this process."""
    return _episode_seconds(episodes, _ANALYSIS_RATE)


def _episode_seconds(episodes: int, rate: float) -> float:
    return episodes * _EPISODE / rate / len(os.sched_getaffinity(0))


def measure_speed(seconds: float = 2.0) -> float:
    """Returns the speed of this machine's core, of the one that estimates are from."""
    environment = environments.make(seed=0)
    environment.reset()
    action = np.zeros(environment.action_spec().shape)
    begin, steps = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        environment.step(action)
        steps += 1
    return steps / (time.perf_counter() - begin) / _REFERENCE


def describe(seconds: float) -> str:
    """Returns a duration in words, with one digit that a person can use."""
    if seconds < 3600:
        return f"{max(1, math.ceil(seconds / 60))} minutes"
    return f"{seconds / 3600:.1f} hours"
