"""The paper's two data sets by name: which tasks, and on which objects."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from environments import objects, tasks

Combination = tuple[str, int | str]  # a task and an object set

RECIPES: Mapping[str, tuple[Combination, ...]] = {
    "red_on_blue_stacking": (("stack_red_blue", 4),),
    "all_pairs_stacking": tuple(
        itertools.product(
            (name for name, task in tasks.TASKS.items() if task.pair), objects.SETS
        )
    ),
}
EPISODES = 2000  # unless told otherwise; the paper does not say how many it has
