"""Faces of convex solids against boxes and prisms whose faces are known."""

import numpy as np
import pytest
from scipy.spatial import transform

from datasets.experts.scripted import geometry
from datasets.experts.scripted.geometry import Placed, Solid

LONG, SHORT, HEIGHT, DEPTH = 0.07, 0.022, 0.039, 0.071
SLANT = np.arctan2((LONG - SHORT) / 2, HEIGHT)  # of a trapezoid's legs


def box(x, y, z):
    signs = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3), -1).reshape(-1, 3)
    return Solid(signs * np.array([x, y, z]))


def trapezoid():
    """A prism along y, wide below and narrow above."""
    profile = np.array(
        [[-LONG / 2, 0], [LONG / 2, 0], [SHORT / 2, HEIGHT], [-SHORT / 2, HEIGHT]]
    )
    profile -= [0, HEIGHT / 2]
    ends = [np.insert(profile, 1, y, axis=1) for y in (-DEPTH / 2, DEPTH / 2)]
    return Solid(np.concatenate(ends))


def placed(solid, turn=(0, 0, 0), at=(0.6, 0.0, 0.1)):
    rotation = transform.Rotation.from_euler("xyz", turn).as_matrix()
    return Placed(solid, np.array(at), np.array(at), rotation)


def test_the_triangles_of_a_face_become_one_face():
    solid = box(0.02, 0.03, 0.05)
    assert len(solid.normals) == 6
    expected = sorted([6e-4, 6e-4, 10e-4, 10e-4, 15e-4, 15e-4])
    np.testing.assert_allclose(sorted(solid.areas), expected, rtol=1e-5)
    half = np.array([0.02, 0.03, 0.05]) / 2
    np.testing.assert_allclose(solid.centroids, solid.normals * half, atol=1e-9)
    np.testing.assert_allclose(solid.offsets, np.abs(solid.normals) @ half, rtol=1e-6)


def test_a_face_carries_where_a_level_one_is_opposite():
    solid = trapezoid()
    slanted = np.abs(solid.normals[:, 0]) > 0.1
    assert slanted.sum() == 2
    np.testing.assert_array_equal(solid.carries, ~slanted)


def test_what_is_level_on_top():
    solid = placed(trapezoid(), at=(0.6, 0.01, 0.1))
    np.testing.assert_allclose(solid.level_top(), [0.6, 0.01], atol=1e-9)
    assert solid.top == pytest.approx(0.1 + HEIGHT / 2)
    assert solid.bottom == pytest.approx(0.1 - HEIGHT / 2)
    almost = geometry.LEVEL * 0.9
    assert placed(trapezoid(), turn=(0, almost, 0)).level_top() is not None
    leaning = placed(trapezoid(), turn=(0, geometry.LEVEL * 1.1, 0))
    assert leaning.level_top() is None


def test_fingers_meet_parallel_faces_squarely_and_slanted_ones_at_their_slope():
    solid = placed(trapezoid(), turn=(0, 0, 0.3))
    c, s = np.cos(0.3), np.sin(0.3)
    along, across = np.array([-s, c]), np.array([c, s])
    oblique = (along * np.cos(0.2)) + (across * np.sin(0.2))
    found = solid.alignment(np.stack([along, across, oblique]), 0.1)
    np.testing.assert_allclose(found, [1.0, np.cos(SLANT), np.cos(0.2)], rtol=1e-5)


def test_the_outline_is_that_from_above():
    outline = placed(box(0.02, 0.04, 0.1), turn=(np.pi / 2, 0, 0)).outline()
    spread = outline.max(axis=0) - outline.min(axis=0)
    np.testing.assert_allclose(spread, [0.02, 0.1], atol=1e-9)
