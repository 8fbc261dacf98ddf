"""Statistics of a data set's steps per dimension, which its metadata hold.

T is the number of control steps of an episode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from datasets.rlds import running_statistics, schema


class StepStatistics:
    """Mean, standard deviation and range of every dimension of the steps.

    Observations count at all T+1 steps of an episode, actions and rewards at the first
    T: those of the last step only fill the arrays. Images and non-finite numbers are
    left out.
    """

    def __init__(self) -> None:
        """Starts without steps."""
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._moments: dict[str, running_statistics.RunningStatistics] = {}

    def add(self, steps: Mapping[str, Any]) -> None:
        """Adds an episode.

        Args:
          steps: `observation`, arrays [T+1, ...] by name, images of any kind; `action`
            and `reward`, and `expert_action` if there is one, [T+1, ...].
        """
        for name in ("action", schema.EXPERT_ACTION, "reward"):
            if name in steps:  # Data sets made elsewhere have no expert_action.
                self._add(name, steps[name][:-1])
        for name, values in steps["observation"].items():
            if not is_image(values):
                self._add(f"observation/{name}", values)

    def _add(self, name: str, values: np.ndarray) -> None:
        if name not in self._moments:
            self._shapes[name] = values.shape[1:]
            self._moments[name] = running_statistics.RunningStatistics(
                math.prod(values.shape[1:])
            )
        moments = self._moments[name]
        moments.update(values.reshape(len(values), len(moments.mean)))

    def ranges(self) -> dict[str, running_statistics.RunningStatistics]:
        """Returns the statistics of each array, with its dimensions flattened."""
        return dict(self._moments)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Returns statistics for JSON by array (`action`, `observation/NAME`).

        Each has `mean`, `std` (of the population), `min` and `max` as lists in the
        shape of one step's value, and `count`, the number of steps.
        """
        return {
            name: {
                statistic: getattr(moments, statistic)
                .reshape(self._shapes[name])
                .tolist()
                for statistic in ("mean", "std", "min", "max")
            }
            | {"count": int(moments.count.min())}
            for name, moments in sorted(self._moments.items())
            if moments.count.all()  # JSON has no infinity
        }


def is_image(values: np.ndarray) -> bool:
    """Returns whether [T+1, ...] are images: encoded, or uint8 [T+1, H, W, 3]."""
    return values.dtype == object or (values.dtype == np.uint8 and values.ndim == 4)
