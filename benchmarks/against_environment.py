"""What `benchmarks.environment --against` runs on each side: some steps a round.

It is loaded with the code of other commits, so it knows `environments.make` alone.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import environments

STEPS = 50  # a round; short, so that a change of the machine's load meets both sides


def make(**settings: Any) -> Callable[[int], dict[str, float]]:
    """Makes an environment; returns what goes on in it by random actions.

    Episodes go on from round to round; the reset between two is part of its round.
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
