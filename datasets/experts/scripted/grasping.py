"""Choice of a grasp from above by two fingers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from datasets.experts.scripted.geometry import Placed
from environments import controller

OPENING = 0.084  # m between the fully open fingertips
_FINGER_THICKNESS = 0.022  # m along the closing axis
_FINGER_HALF_WIDTH = 0.014  # m across the closing axis
_WRIST_MARGIN = 0.08  # rad kept from the wrist's limits
_MIN_EDGE = 0.008  # m, least length of an edge that counts as a side


@dataclasses.dataclass(frozen=True)
class Grasp:
    """A way for the gripper to take hold of an object.

    Attributes:
      turn: rad, turn about z to make.
      width: m, width of the object between the fingers.
    """

    turn: float
    width: float


def choose(
    subject: Placed,
    others: Sequence[Placed],
    closing: np.ndarray,
    wrist: float,
    height: float,
    turn_cost: float,
) -> Grasp:
    """Chooses the best side to grasp an object.

    Sides are the edges of the object's outline from above. A side is better if the
    fingers meet its faces squarely, if the object is narrow there, if the fingers have
    room beside it, and if it needs little turning.

    Args:
      subject: object to grasp.
      others: objects that may be in the way.
      closing: [2], the current closing direction of the fingers, horizontal, unit.
      wrist: angle of the last arm joint, rad.
      height: height of the fingertips at the grasp, m.
      turn_cost: cost of a turn by one radian.
    """
    outline = subject.outline()
    edges = np.roll(outline, -1, axis=0) - outline
    lengths = np.linalg.norm(edges, axis=1)
    edges, lengths = edges[lengths > _MIN_EDGE], lengths[lengths > _MIN_EDGE]
    normals = np.stack([edges[:, 1], -edges[:, 0]], axis=-1) / lengths[:, None]
    spread = outline @ normals.T
    widths = spread.max(axis=0) - spread.min(axis=0)
    cloud = np.concatenate([other.cloud[:, :2] for other in others])
    cost = 10.0 * (1.0 - subject.alignment(normals, height))
    cost += 20.0 * np.maximum(0.0, widths - 0.06)
    cost += 1000.0 * np.maximum(0.0, widths - OPENING + 0.003)
    for i, (normal, width) in enumerate(zip(normals, widths, strict=True)):
        cost[i] += 0.3 * _blocked(cloud - subject.position[:2], normal, width)
    best, best_cost = Grasp(0.0, float(widths.min())), np.inf
    now = np.arctan2(closing[1], closing[0])
    low, high = controller.WRIST_RANGE
    for normal, width, side in zip(normals, widths, cost, strict=True):
        for flip in (0.0, np.pi):
            turn = np.arctan2(normal[1], normal[0]) + flip - now
            turn = (turn + np.pi) % (2 * np.pi) - np.pi
            # A turn of the tool by an angle turns the wrist by the negative angle.
            angle = wrist - turn
            excess = max(low + _WRIST_MARGIN - angle, angle - high + _WRIST_MARGIN)
            total = side + turn_cost * abs(turn) + 100.0 * max(0.0, excess)
            if total < best_cost:
                best, best_cost = Grasp(float(turn), float(width)), total
    return best


def _blocked(relative: np.ndarray, normal: np.ndarray, width: float) -> float:
    """Returns the depth [cm] to which points [N, 2] reach into the fingers' places."""
    along = np.abs(relative @ normal)
    across = np.abs(relative @ np.array([-normal[1], normal[0]]))
    outer = OPENING / 2 + _FINGER_THICKNESS
    inside = (
        (along > width / 2 - 0.005)
        & (along < outer)
        & (across < _FINGER_HALF_WIDTH + 0.01)
    )
    return 100.0 * float((outer - along[inside]).max(initial=0.0))
