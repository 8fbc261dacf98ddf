"""The paper's two data sets by name: which tasks, and on which objects.

Where there are several, a policy is told which: see `context`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from environments import objects, observations, tasks

Combination = tuple[str, objects.ObjectSet]  # a task and an object set

# The paper's. A set with a later number changes neither its data sets nor what high
# levels of several tasks have been trained to read.
_OBJECT_SETS = range(1, 6)
CONTEXT_SIZE = 2 * len(observations.COLORS) + len(_OBJECT_SETS)

RECIPES: Mapping[str, tuple[Combination, ...]] = {
    "red_on_blue_stacking": (("stack_red_blue", 4),),
    "all_pairs_stacking": tuple(
        itertools.product(
            (name for name, task in tasks.TASKS.items() if task.pair), _OBJECT_SETS
        )
    ),
}
EPISODES = 2000  # unless told otherwise; the paper does not say how many it has


def context(combination: Combination) -> np.ndarray:
    """Returns what tells a policy its task and objects, float32 [CONTEXT_SIZE].

    The one-hot vectors of the top object's colour, the bottom object's and the object
    set one after another; the last is zero for random objects ("random", or 0 as
    episodes store it) and for sets that the paper does not have.

    Raises:
      ValueError: the task is no stack of two.
    """
    task, object_set = combination
    pairs = {name: t.pair for name, t in tasks.TASKS.items() if t.pair}
    if task not in pairs:
        raise ValueError(f"task {task!r} has no context; valid: {', '.join(pairs)}")
    top, bottom = pairs[task]
    hot = [color == top for color in observations.COLORS]
    hot += [color == bottom for color in observations.COLORS]
    hot += [number == object_set for number in _OBJECT_SETS]
    return np.array(hot, np.float32)
