"""The paper's two data sets by name: their tasks and object sets.

Where there are several, a policy observes the current ones: see `context`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from environments import objects, observations, tasks

Combination = tuple[str, objects.ObjectSet]  # task and object set

# The paper's sets. A set added later changes neither its data sets nor the context that
# high levels of several tasks were trained on.
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
EPISODES = 2000  # default number; the paper does not give its own


def context(combination: Combination) -> np.ndarray:
    """Returns the encoding of task and object set for a policy, float32 [CONTEXT_SIZE].

    It concatenates one-hot vectors of the top object's colour, the bottom object's
    colour and the object set. The last is zero for random objects ("random", or 0 as
    episodes store it) and for sets that the paper lacks.

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
