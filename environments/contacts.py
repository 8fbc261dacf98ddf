"""Contacts between objects, robot and surroundings, which success depends on."""

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
    """Contacts as pairs of names, each in both orders.

    Attributes:
      touching: pairs of red, green, blue, robot and elsewhere that are in contact.
      adjacent: pairs of objects at most a millimetre apart. An object that rests on two
        others rocks between them: it is in contact with both in two of three steps.
    """

    touching: frozenset[tuple[str, str]]
    adjacent: frozenset[tuple[str, str]]

    def touched(self, name: str) -> set[str]:
        """Returns the names in contact with `name`."""
        return {b for a, b in self.touching if a == name}


def find(
    model: mujoco.MjModel, data: mujoco.MjData, scene: scene_lib.Scene
) -> Contacts:
    """Finds what touches; needs positions and contacts of `data` to be up to date."""
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
    """Returns two geoms' distance, m; negative inside, cut off above `_ADJACENT`."""
    first, second = map(int, geoms)
    return mujoco.mj_geomDistance(model, data, first, second, 2 * _ADJACENT, None)


def _both_orders(pairs: list[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    return frozenset(pairs) | {(b, a) for a, b in pairs}
