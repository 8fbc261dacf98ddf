"""Goals of the scripted expert's placements: on one object or two, or on the floor."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from datasets.experts.scripted.geometry import Placed
from environments import scene as scene_lib

FLOOR = 0.0485  # m, height of the basket's floor

_FLOOR_HALF = 0.05  # m, half the side of the square in which objects are put down
_ROOM = 0.075  # m wanted between the centres of an object put down and of others
_FLOOR_LIFT = 0.02  # m of clearance above the floor, on the way
_FLOOR_DROP = 0.012  # m above the floor at the release
_STACK_DROP = 0.002  # m above the bottom object at the release
_OFF_CENTRE = 0.02  # m, most that a target may be off a bottom object's origin
_GAP = 0.003  # m between objects that are put side by side
_SIDES = np.linspace(-0.6, 0.6, 5)  # rad, from the normal of the fingers' direction
_MOST_BESIDE = 0.075  # m, most between the centres of two objects side by side
_BESIDE_DROP = 0.003  # m above the floor at the release of such an object
_TOP_MARGIN = 0.02  # m below the workspace's upper end


@dataclasses.dataclass(frozen=True)
class PlacementGoal:
    """Goal of an object's placement; methods take all objects at their current places.

    Attributes:
      subject: index of the object.
      bottom: index of the object on which it is put; None for the floor.
      place: [2] m, on the floor; None where there is a bottom object.
      lift: clearance on the way, m.
      drop: gap below the object at its release, m.
      clears: whether it is carried above all other objects.
    """

    subject: int
    bottom: int | None
    place: np.ndarray | None
    lift: float
    drop: float
    clears: bool = True

    def carried(self, placed: Sequence[Placed]) -> Placed:
        """Returns the object to place."""
        return placed[self.subject]

    def others(self, placed: Sequence[Placed]) -> list[Placed]:
        """Returns all objects but the one to place."""
        return [p for i, p in enumerate(placed) if i != self.subject]

    def support(self, placed: Sequence[Placed]) -> float:
        """Returns the height [m] of the surface on which the object is put."""
        return FLOOR if self.bottom is None else placed[self.bottom].top

    def goal(self, placed: Sequence[Placed]) -> np.ndarray:
        """Returns the target [2] m of the object's centre."""
        if self.bottom is None:
            assert self.place is not None  # set for the floor
            return self.place
        centre, face = placed[self.bottom].position[:2], placed[self.bottom].level_top()
        offset = np.zeros(2) if face is None else face - centre
        offset *= min(1.0, _OFF_CENTRE / max(float(np.linalg.norm(offset)), 1e-9))
        return centre + offset

    def height(self, placed: Sequence[Placed]) -> float:
        """Returns the height [m] of the object's centre on the way."""
        carried, around = self.carried(placed), self.support(placed)
        if self.clears:
            around = max(around, highest(self.others(placed)))
        half = carried.position[2] - carried.bottom
        end = scene_lib.WORKSPACE_CENTRE[2] + scene_lib.WORKSPACE_SIZE[2] / 2
        return min(around + half + self.lift, end - _TOP_MARGIN)


def onto(subject: int, bottom: int, lift: float) -> PlacementGoal:
    """Makes the goal of stacking one object on another."""
    return PlacementGoal(subject, bottom, None, lift, _STACK_DROP)


def to_floor(subject: int, placed: Sequence[Placed]) -> PlacementGoal:
    """Makes the goal of putting an object on the level floor, near and with room."""
    grid = np.linspace(-_FLOOR_HALF, _FLOOR_HALF, 9)
    spots = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    spots += scene_lib.BASKET_CENTRE
    others = [p.position[:2] for i, p in enumerate(placed) if i != subject]
    room = np.min([np.linalg.norm(spots - o, axis=1) for o in others], axis=0)
    distance = np.linalg.norm(spots - placed[subject].position[:2], axis=1)
    away = np.linalg.norm(spots - scene_lib.BASKET_CENTRE, axis=1)
    cost = 4.0 * np.maximum(0.0, _ROOM - room) + 0.3 * distance + 0.5 * away
    spot = spots[int(cost.argmin())]
    return PlacementGoal(subject, None, spot, _FLOOR_LIFT, _FLOOR_DROP, clears=False)


@dataclasses.dataclass(frozen=True)
class _Bridge(PlacementGoal):
    """Goal of putting an object on two others that lie side by side.

    Attributes:
      supports: their indices.
    """

    supports: tuple[int, int] = (0, 0)

    def support(self, placed: Sequence[Placed]) -> float:
        """Returns the height [m] of the higher one's highest point."""
        return highest([placed[index] for index in self.supports])

    def goal(self, placed: Sequence[Placed]) -> np.ndarray:
        """Returns the midpoint [2] m of the two."""
        left, right = (placed[index].position[:2] for index in self.supports)
        return (left + right) / 2


def across(subject: int, left: int, right: int, lift: float) -> PlacementGoal:
    """Makes the goal of putting an object on two others."""
    return _Bridge(subject, None, None, lift, _STACK_DROP, supports=(left, right))


def beside(
    subject: int, neighbour: int, closing: np.ndarray, placed: Sequence[Placed]
) -> PlacementGoal:
    """Makes the goal of putting an object on the floor beside another.

    Args:
      subject: index of the object.
      neighbour: index of the other.
      closing: [2], unit, along which the fingers close; the other is not in their way.
      placed: all objects.
    """
    carried, other = placed[subject], placed[neighbour]
    normal = np.arctan2(closing[0], -closing[1])
    angles = normal + np.concatenate([_SIDES, np.pi + _SIDES])
    sides = np.stack([np.cos(angles), np.sin(angles)], axis=-1)  # [N, 2]
    own = ((carried.cloud - carried.position)[:, :2] @ -sides.T).max(axis=0)
    half = ((other.cloud - other.position)[:, :2] @ sides.T).max(axis=0)
    apart = half + own + _GAP
    spots = other.position[:2] + np.minimum(apart, _MOST_BESIDE)[:, None] * sides
    rest = [
        p.position[:2] for i, p in enumerate(placed) if i not in (subject, neighbour)
    ]
    room = np.min([np.linalg.norm(spots - point, axis=1) for point in rest], axis=0)
    outside = np.linalg.norm(spots - scene_lib.BASKET_CENTRE, axis=1) - _FLOOR_HALF
    cost = (
        np.linalg.norm(spots - carried.position[:2], axis=1)
        + 4.0 * np.maximum(0.0, _ROOM - room)
        + 2.0 * np.maximum(0.0, outside)
        + 8.0 * np.maximum(0.0, apart - _MOST_BESIDE)
    )
    spot = spots[int(cost.argmin())]
    return PlacementGoal(subject, None, spot, _FLOOR_LIFT, _BESIDE_DROP)


def highest(placed: Sequence[Placed]) -> float:
    """Returns the height [m] of the highest point of all these objects."""
    return max(p.top for p in placed)
