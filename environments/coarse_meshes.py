"""Coarser meshes for small images: in software, an image's time grows with the faces.

The arm's and gripper's meshes hold 247,000 of the scene's 249,000 faces, far more than
an image of 64x64 pixels can show. Vertices that share a cell of about a pixel's size
become one (Rossignac and Borrel, 1993: multi-resolution 3D approximations).
"""

from __future__ import annotations

import copy

import numpy as np

from environments.rendering import mujoco

MIN_FACES = 1000  # Smaller meshes (the basket's, the objects') do not change.


def coarsened(model: mujoco.MjModel, cell: float) -> mujoco.MjModel:
    """Returns a copy of a model with coarser meshes, for drawing only.

    Args:
      model: model to copy; it does not change.
      cell: edge length [m] of the cells whose vertices become one.
    """
    model = copy.copy(model)
    for mesh in np.flatnonzero(model.mesh_facenum >= MIN_FACES):
        vertices = _part(model.mesh_vert, model.mesh_vertadr, model.mesh_vertnum, mesh)
        address = model.mesh_faceadr, model.mesh_facenum, mesh
        faces = _part(model.mesh_face, *address)
        normals = _part(model.mesh_facenormal, *address)
        merged, new_faces, kept = cluster(vertices, faces, cell)
        vertices[: len(merged)] = merged
        faces[: len(kept)] = new_faces
        # A corner keeps its normal, so that the shading is as of the full mesh.
        normals[: len(kept)] = normals[kept]
        model.mesh_facenum[mesh] = len(kept)
    return model


def cluster(
    vertices: np.ndarray, faces: np.ndarray, cell: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merges the vertices within each cell of a grid into their mean.

    Args:
      vertices: [V, 3]. faces: int [F, 3], indices of vertices.
      cell: edge length of the grid's cells.

    Returns:
      Merged vertices [W, 3]; the faces [G, 3] that still have three corners, without
      duplicates; and their indices among the old faces, [G].
    """
    grid = np.floor((vertices - vertices.min(axis=0)) / cell).astype(np.int64)
    _, group, count = np.unique(
        np.ravel_multi_index(grid.T, grid.max(axis=0) + 1),
        return_inverse=True,
        return_counts=True,
    )
    sums = [np.bincount(group, vertices[:, axis]) for axis in range(3)]
    corners = group[faces]
    kept = np.flatnonzero((corners != np.roll(corners, 1, axis=1)).all(axis=1))
    # Two faces of opposite sides stay two: their orientation differs.
    lowest = corners[kept].argmin(axis=1)[:, None]
    turned = np.take_along_axis(corners[kept], (lowest + np.arange(3)) % 3, axis=1)
    code = np.ravel_multi_index(tuple(turned.T), (len(count),) * 3)
    kept = kept[np.sort(np.unique(code, return_index=True)[1])]
    return np.stack(sums, axis=1) / count[:, None], corners[kept], kept


def _part(
    array: np.ndarray, addresses: np.ndarray, numbers: np.ndarray, index: int
) -> np.ndarray:
    """Returns a view of the part of a table that belongs to one mesh."""
    return array[addresses[index] : addresses[index] + numbers[index]]
