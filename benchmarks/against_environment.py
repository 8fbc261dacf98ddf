"""Script of `benchmarks.environment --against`: a round is some environment steps.

It is loaded with the code of other commits, so it uses `environments.make` alone.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import environments

STEPS = 50  # per round; few, so that a change of load affects both sides


def make(**settings: Any) -> Callable[[int], dict[str, float]]:
    """Makes an environment; returns a function that steps it by random actions.

    Episodes continue over rounds; a reset counts for the round in which it happens.
    """
    environment = environments.make(**settings)
    ended = True

    def measure(seed: int) -> dict[str, float]:
        nonlocal ended
        actions = np.random.default_rng(seed).uniform(-1, 1, (STEPS, 5))
        wall, cpu = time.perf_counter(), time.process_time()
        for action in actions:
            if ended:
                environment.reset()
            ended = environment.step(action).last()
        return {
            "steps": STEPS,
            "cpu_seconds": time.process_time() - cpu,
            "wall_seconds": time.perf_counter() - wall,
        }

    return measure
