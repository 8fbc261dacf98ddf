"""What touches what, for success: rewards depend on positions alone."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from environments import observations
from environments import scene as scene_lib
from environments.rendering import mujoco

ROBOT = "robot"
ELSEWHERE = "elsewhere"  # the basket and the ground

_OWNERS = (*observations.COLORS, ROBOT, ELSEWHERE)  # by `Scene.geom_owner`
_ADJACENT = 0.001  # m


class Contacts(NamedTuple):
    """Pairs of names, each in both orders.

    Attributes:
      touching: of red, green, blue, robot and elsewhere, those in contact now.
      adjacent: of objects, those at most a millimetre apart. One that rests on two
        others rocks between them: it is in contact with both in two steps of three.
    """

    touching: frozenset[tuple[str, str]]
    adjacent: frozenset[tuple[str, str]]

    def touched(self, name: str) -> set[str]:
        """What is in contact with `name`."""
        return {b for a, b in self.touching if a == name}


def find(
    model: mujoco.MjModel, data: mujoco.MjData, scene: scene_lib.Scene
) -> Contacts:
    """Reads the contacts; positions and contacts of `data` are up to date."""
    contact = data.contact
    owners = scene.geom_owner[contact.geom[contact.dist <= 0.0]].tolist()
    touching = [(_OWNERS[a], _OWNERS[b]) for a, b in owners]
    adjacent = [
        (observations.COLORS[i], observations.COLORS[j])
        for i, j in itertools.combinations(range(len(observations.COLORS)), 2)
        if _distance(model, data, scene.object_geom[[i, j]]) < _ADJACENT
    ]
    return Contacts(_both_orders(touching), _both_orders(adjacent))


def _distance(model: mujoco.MjModel, data: mujoco.MjData, geoms: np.ndarray) -> float:
    """Between two geoms, m; negative inside, cut off a little above `_ADJACENT`."""
    first, second = map(int, geoms)
    return mujoco.mj_geomDistance(model, data, first, second, 2 * _ADJACENT, None)


def _both_orders(pairs: list[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    return frozenset(pairs) | {(b, a) for a, b in pairs}
