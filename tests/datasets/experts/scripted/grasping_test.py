"""Which side to grasp, on solids where the answer is known."""

import numpy as np

from datasets.experts.scripted import grasping
from tests.datasets.experts.scripted.geometry_test import box, placed, trapezoid

CLOSING = np.array([0.0, 1.0])
FAR = placed(box(0.03, 0.03, 0.03), at=(0.6, 0.3, 0.1))


def closing_after(subject, others=(FAR,), turn_cost=0.3, closing=CLOSING):
    """The direction in which the fingers close at the chosen grasp, and its width."""
    grasp = grasping.choose(subject, others, closing, 0.0, 0.1, turn_cost)
    c, s = np.cos(grasp.turn), np.sin(grasp.turn)
    return np.array([[c, -s], [s, c]]) @ closing, grasp.width


def test_it_takes_the_side_that_fits_between_the_fingers():
    direction, width = closing_after(placed(box(0.03, 0.1, 0.04), turn=(0, 0, 0.4)))
    assert abs(direction @ [np.cos(0.4), np.sin(0.4)]) > 0.999
    np.testing.assert_allclose(width, 0.03, atol=1e-9)


def test_it_takes_parallel_faces_and_not_nearer_slanted_ones():
    near_the_legs = np.array([np.cos(0.5), np.sin(0.5)])
    direction, _ = closing_after(placed(trapezoid()), closing=near_the_legs)
    assert abs(direction[1]) > 0.999


def test_it_turns_as_little_as_it_can():
    turned = placed(box(0.04, 0.04, 0.04), turn=(0, 0, 0.2))
    grasp = grasping.choose(turned, [FAR], CLOSING, 0.0, 0.1, 0.3)
    np.testing.assert_allclose(grasp.turn, 0.2, atol=1e-6)


def test_it_keeps_its_side_where_a_turn_is_dear():
    wide = placed(box(0.07, 0.04, 0.04), turn=(0, 0, 0.1))
    across = closing_after(wide, closing=np.array([1.0, 0.0]), turn_cost=0.05)[1]
    np.testing.assert_allclose(across, 0.04, atol=1e-9)  # it turns to the narrow side
    kept = closing_after(wide, closing=np.array([1.0, 0.0]), turn_cost=5.3)[1]
    np.testing.assert_allclose(kept, 0.07, atol=1e-9)


def test_it_keeps_away_from_what_stands_beside():
    beside = placed(box(0.04, 0.04, 0.04), at=(0.6, 0.045, 0.1))
    near_it = np.array([np.sin(0.5), np.cos(0.5)])
    cube = placed(box(0.04, 0.04, 0.04))
    alone, _ = closing_after(cube, closing=near_it)
    assert abs(alone[1]) > 0.999
    direction, _ = closing_after(cube, others=[beside], closing=near_it)
    assert abs(direction[0]) > 0.999


def test_the_wrist_stays_within_its_range():
    subject = placed(box(0.03, 0.1, 0.04), turn=(0, 0, 0.4))
    for wrist in (-1.4, 0.0, 1.4):
        grasp = grasping.choose(subject, [FAR], CLOSING, wrist, 0.1, 0.3)
        assert abs(wrist - grasp.turn) < np.pi / 2
