"""Shapes of objects: faces of a convex mesh, in its own frame and in the world.

Shape letters: V vertices, F faces, E edges of an outline.
"""

from __future__ import annotations

import numpy as np
from scipy import spatial

from environments.rendering import mujoco

LEVEL = 0.085  # rad, largest angle between the vertical and the normal of a level face

_SAME_FACE = np.cos(0.03)  # least cosine between normals of one flat face
_MIN_AREA = 2e-4  # m2; smaller faces neither carry nor support anything


class Solid:
    """A convex object in its own frame.

    Attributes:
      vertices: corners of the hull, [V, 3] m.
      normals: outward unit normals of the faces, [F, 3].
      offsets: distances of the faces, [F] m; a point x is inside where
        normals @ x <= offsets.
      areas: areas of the faces, [F] m2.
      centroids: centroids of the faces, [F, 3] m.
    """

    def __init__(self, vertices: np.ndarray) -> None:
        """Takes the vertices of a mesh, [V, 3] m; merges triangles of one plane."""
        hull = spatial.ConvexHull(vertices)
        self.vertices = vertices[hull.vertices]
        corners = vertices[hull.simplices]  # [T, 3, 3]
        spans = corners[:, 1:] - corners[:, :1]
        area = 0.5 * np.linalg.norm(np.cross(spans[:, 0], spans[:, 1]), axis=1)
        normals: list[np.ndarray] = []
        owner = np.zeros(len(area), int)
        for i, normal in enumerate(hull.equations[:, :3]):
            same = [j for j, n in enumerate(normals) if n @ normal > _SAME_FACE]
            owner[i] = same[0] if same else len(normals)
            if not same:
                normals.append(normal)
        self.normals = np.stack(normals)
        self.areas = np.bincount(owner, area)
        centres = corners.mean(axis=1) * area[:, None]
        self.centroids = (
            np.stack([np.bincount(owner, centres[:, k]) for k in range(3)], axis=-1)
            / np.maximum(self.areas, 1e-12)[:, None]
        )
        self.offsets = (self.centroids * self.normals).sum(axis=1)

    @property
    def carries(self) -> np.ndarray:
        """Whether the object can lie on a face and carry another, [F].

        A level face is opposite such a face.
        """
        broad = self.areas > _MIN_AREA
        opposite = -(self.normals @ self.normals.T) > np.cos(LEVEL)
        return broad & (opposite & broad).any(axis=1)


def read_solid(model: mujoco.MjModel, geom: int) -> Solid:
    """Reads the solid of a mesh geom, in the geom's frame."""
    mesh = model.geom_dataid[geom]
    start = model.mesh_vertadr[mesh]
    return Solid(model.mesh_vert[start : start + model.mesh_vertnum[mesh]].copy())


class Placed:
    """A solid at its current place, in world coordinates.

    Attributes:
      solid: the solid.
      position: [3] m, the object's own origin.
      rotation: [3, 3], from the solid's frame to the world.
      cloud: [V, 3] m, the vertices.
    """

    def __init__(
        self,
        solid: Solid,
        position: np.ndarray,
        origin: np.ndarray,
        rotation: np.ndarray,
    ) -> None:
        """Places the solid; `origin` [3] m is that of its frame."""
        self.solid = solid
        self.position = position
        self.rotation = rotation
        self._origin = origin
        self.cloud = solid.vertices @ rotation.T + origin

    @property
    def top(self) -> float:
        """The height [m] of the highest point."""
        return float(self.cloud[:, 2].max())

    @property
    def bottom(self) -> float:
        """The height [m] of the lowest point."""
        return float(self.cloud[:, 2].min())

    def normals(self) -> np.ndarray:
        """Returns the outward normals of the faces, [F, 3]."""
        return self.solid.normals @ self.rotation.T

    def level_top(self) -> np.ndarray | None:
        """Returns the centre [2] m of the level face on top; None if there is none."""
        up = np.where(self.solid.areas > _MIN_AREA, self.normals()[:, 2], -1.0)
        face = int(up.argmax())
        if up[face] < np.cos(LEVEL):
            return None
        return (self.rotation @ self.solid.centroids[face] + self._origin)[:2]

    def outline(self) -> np.ndarray:
        """Returns the corners [E, 2] m of its outline from above, anticlockwise."""
        points = self.cloud[:, :2]
        return points[spatial.ConvexHull(points).vertices]

    def alignment(self, directions: np.ndarray, height: float) -> np.ndarray:
        """Measures how squarely fingers that close along a direction meet the surface.

        Args:
          directions: [N, 2], horizontal, unit.
          height: height of the fingertips, m.

        Returns:
          [N], the cosine between the direction and the surface's normal, on the worse
          of the two sides.
        """
        start = np.append(self.position[:2], height) - self._origin
        normals = self.normals()
        room = np.maximum(self.solid.offsets - normals @ start, 1e-6)  # [F]
        slope = directions @ normals[:, :2].T  # [N, F]
        worst = np.ones(len(directions))
        for sign in (1.0, -1.0):
            towards = np.maximum(sign * slope, 1e-9)
            exit_face = (room / towards).argmin(axis=1)
            worst = np.minimum(worst, towards[np.arange(len(slope)), exit_face])
        return worst
