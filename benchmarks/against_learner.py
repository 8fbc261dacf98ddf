"""Script of `benchmarks.learner --against`: a round is a learner step.

It is loaded with the code of other commits, so it uses `table_5_learner` alone.
"""

import time
from collections.abc import Callable

import numpy as np

from benchmarks import learner as benchmark


def make(agent: str, seed: int) -> Callable[[int], dict[str, float]]:
    """Makes an agent's learner of Table 5 sizes; returns a function of one step."""
    learner, _ = benchmark.table_5_learner(agent, np.random.default_rng(seed), seed)

    def measure(seed: int) -> dict[str, float]:
        del seed  # every round continues with the same batch and weights
        wall, cpu = time.perf_counter(), time.process_time()
        learner.step()
        return {
            "steps": 1,
            "cpu_seconds": time.process_time() - cpu,
            "wall_seconds": time.perf_counter() - wall,
        }

    return measure
