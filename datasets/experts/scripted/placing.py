"""What the scripted expert moves, and to where: onto an object, or to the floor."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from datasets.experts.scripted.geometry import Placed
from environments import scene as scene_lib

FLOOR = 0.0485  # m, the basket's

_FLOOR_HALF = 0.05  # m around the basket's centre, where objects are put down
_ROOM = 0.075  # m between the centres of an object put down and of the others
_FLOOR_LIFT = 0.02  # m above the floor, on the way there
_FLOOR_DROP = 0.012  # m above the floor, where it is let go
_STACK_DROP = 0.002  # m above the bottom object
_OFF_CENTRE = 0.02  # m at most between a bottom object's origin and where it carries
_TOP_MARGIN = 0.02  # m below the workspace's end


@dataclasses.dataclass(frozen=True)
class PlacementGoal:
    """One object's way to its place; all methods take where the objects are now.

    Attributes:
      subject: index of the object.
      bottom: index of the object it is put on; None for the floor.
      place: [2] m, on the floor; None where there is a bottom object.
      lift: m of clearance on the way.
      drop: m of the gap at which it is let go.
    """

    subject: int
    bottom: int | None
    place: np.ndarray | None
    lift: float
    drop: float

    def carried(self, placed: Sequence[Placed]) -> Placed:
        """The object."""
        return placed[self.subject]

    def others(self, placed: Sequence[Placed]) -> list[Placed]:
        """All but the object."""
        return [p for i, p in enumerate(placed) if i != self.subject]

    def support(self, placed: Sequence[Placed]) -> float:
        """Height [m] of what it is put on."""
        return FLOOR if self.bottom is None else placed[self.bottom].top

    def goal(self, placed: Sequence[Placed]) -> np.ndarray:
        """Where its centre is to be, [2] m."""
        if self.bottom is None:
            assert self.place is not None  # of the floor
            return self.place
        centre, face = placed[self.bottom].position[:2], placed[self.bottom].level_top()
        offset = np.zeros(2) if face is None else face - centre
        offset *= min(1.0, _OFF_CENTRE / max(float(np.linalg.norm(offset)), 1e-9))
        return centre + offset

    def height(self, placed: Sequence[Placed]) -> float:
        """Height [m] of its centre on the way."""
        carried, around = self.carried(placed), self.support(placed)
        if self.bottom is not None:
            around = max(around, highest(self.others(placed)))
        half = carried.position[2] - carried.bottom
        end = scene_lib.WORKSPACE_CENTRE[2] + scene_lib.WORKSPACE_SIZE[2] / 2
        return min(around + half + self.lift, end - _TOP_MARGIN)


def onto(subject: int, bottom: int, lift: float) -> PlacementGoal:
    """Stacks one object on another."""
    return PlacementGoal(subject, bottom, None, lift, _STACK_DROP)


def to_floor(subject: int, placed: Sequence[Placed]) -> PlacementGoal:
    """Puts an object down on the level floor: near, and with room around it."""
    grid = np.linspace(-_FLOOR_HALF, _FLOOR_HALF, 9)
    spots = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    spots += scene_lib.BASKET_CENTRE
    others = [p.position[:2] for i, p in enumerate(placed) if i != subject]
    room = np.min([np.linalg.norm(spots - o, axis=1) for o in others], axis=0)
    distance = np.linalg.norm(spots - placed[subject].position[:2], axis=1)
    away = np.linalg.norm(spots - scene_lib.BASKET_CENTRE, axis=1)
    cost = 4.0 * np.maximum(0.0, _ROOM - room) + 0.3 * distance + 0.5 * away
    spot = spots[int(cost.argmin())]
    return PlacementGoal(subject, None, spot, _FLOOR_LIFT, _FLOOR_DROP)


def highest(placed: Sequence[Placed]) -> float:
    """Height [m] of the highest point of all these."""
    return max(p.top for p in placed)
