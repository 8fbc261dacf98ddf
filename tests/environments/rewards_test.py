"""Boundary tables of the reward primitives and of stages."""

import numpy as np
import pytest

from environments import rewards

BLUE = np.array([0.6, 0.0, 0.07])


def state(pinch=(0.6, 0.1, 0.3), red=(0.6, 0.1, 0.07), blue=BLUE, finger=0.0, grasp=1):
    return rewards.State(
        pinch=np.array(pinch),
        objects={
            "red": np.array(red),
            "green": np.array([0.7, 0.1, 0.07]),
            "blue": np.array(blue),
        },
        finger=finger,
        grasp=grasp,
    )


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (0.0, 1.0),
        (0.0199, 1.0),
        # 1 - tanh^2(w d) with w = atanh(sqrt(0.95)) / 0.15 = 14.5207.
        (0.05, 0.614771),
        (0.15, 0.05),
        (1.0, 0.0),
    ],
)
def test_reach(distance, expected):
    s = state(pinch=(0.6, 0.1, 0.07 + distance))
    assert rewards.reach(s, "red") == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("finger", "grasp", "expected"),
    [(0.0, 1, 0.025), (255.0, 1, 0.5), (0.0, 2, 1.0), (0.0, 3, 0.025)],
)
def test_grasp(finger, grasp, expected):
    s = state(finger=finger, grasp=grasp)
    assert rewards.grasp(s) == pytest.approx(expected, abs=1e-6)


def test_reach_counts_half_until_the_tool_is_there():
    there = state(pinch=(0.6, 0.1, 0.07), grasp=2)
    assert rewards.reach_and_grasp(there, "red") == pytest.approx(1.0)
    far = state(pinch=(0.6, 0.1, 0.07 + 0.15), grasp=2)
    assert rewards.reach_and_grasp(far, "red") == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("height", "expected"),
    [(0.1047, 0.0), (0.1048, 0.0), (0.1273, 0.5), (0.1498, 1.0), (0.16, 1.0)],
)
def test_lift(height, expected):
    s = state(red=(0.6, 0.0, height), grasp=2)
    assert rewards.lift(s, "red") == pytest.approx(expected, abs=1e-6)


def test_lift_outside_of_the_workspace_is_worth_nothing():
    assert rewards.lift(state(red=(0.6, 0.14, 0.16)), "red") == 0.0


@pytest.mark.parametrize(
    ("red", "expected"),
    [
        ((0.6, 0.0, 0.11), 1.0),
        ((0.6, 0.0099, 0.11), 1.0),
        ((0.6, 0.2, 0.11), 0.05),
        ((0.6, 0.0, 0.0999), 0.0),  # below the least height
    ],
)
def test_hover(red, expected):
    s = state(red=red)
    assert rewards.hover(s, "red", "blue") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("red", "expected"),
    [
        ((0.7, 0.1, 0.11), 1.0),
        ((0.6201, 0.1, 0.11), 1.0),  # 8 cm beside
        # 1 - tanh^2(w d) with w = atanh(sqrt(0.95)) / 0.2 = 10.8913, d = 0.1.
        ((0.6, 0.1, 0.11), 0.365488),
        ((0.7, 0.1, 0.1199), 1.0),
        ((0.6201, 0.1, 0.1199), 0.503198),  # the two together are too much
        ((0.7, 0.1, 0.0999), 0.0),  # below the least height
    ],
)
def test_a_hover_may_be_wider(red, expected):
    tolerance = rewards.HOVER_NEAR_TOLERANCE
    value = rewards.hover(state(red=red), "red", "green", tolerance)
    assert value == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("red", "expected"),
    [
        ((0.6201, 0.1, 0.07), 1.0),
        ((0.6199, 0.1, 0.07), 0.0),
        ((0.7, 0.1799, 0.07), 1.0),
        ((0.65, 0.1, 0.0899), 1.0),
        ((0.65, 0.1, 0.0901), 0.0),  # above it, as in a hover
        ((0.65, 0.1, 0.0499), 0.0),
    ],
)
def test_place_near(red, expected):
    assert rewards.place_near(state(red=red), "red", "green") == expected


@pytest.mark.parametrize(
    ("blue", "grasp", "expected"),
    [
        # Midway between red and green is (0.66, 0.1, 0.075).
        ((0.66, 0.1, 0.12), 1, 1.0),
        ((0.6799, 0.1, 0.12), 1, 1.0),
        ((0.6801, 0.1, 0.12), 1, 0.0),
        ((0.66, 0.1199, 0.12), 1, 1.0),
        ((0.66, 0.1201, 0.12), 1, 0.0),
        ((0.66, 0.1, 0.1349), 1, 1.0),
        ((0.66, 0.1, 0.1351), 1, 0.0),
        ((0.66, 0.1, 0.1051), 1, 1.0),
        ((0.66, 0.1, 0.1049), 1, 0.0),
        ((0.66, 0.1, 0.12), 2, 0.0),
        ((0.66, 0.1, 0.12), 3, 1.0),
    ],
)
def test_pyramid(blue, grasp, expected):
    s = state(red=(0.62, 0.1, 0.08), blue=blue, grasp=grasp)
    assert rewards.pyramid(s, "blue", "red", "green") == expected


@pytest.mark.parametrize(
    ("red", "grasp", "expected"),
    [
        ((0.6, 0.0, 0.11), 1, 1.0),
        ((0.6, 0.0299, 0.11), 1, 1.0),
        ((0.6, 0.0301, 0.11), 1, 0.0),
        ((0.6, 0.0, 0.1199), 1, 1.0),
        ((0.6, 0.0, 0.1201), 1, 0.0),
        ((0.6, 0.0, 0.0999), 1, 0.0),
        ((0.6, 0.0, 0.11), 2, 0.0),
        ((0.6, 0.0, 0.11), 3, 1.0),
    ],
)
def test_stack(red, grasp, expected):
    assert rewards.stack(state(red=red, grasp=grasp), "red", "blue") == expected


@pytest.mark.parametrize(
    ("z", "expected"), [(0.17, 1.0), (0.199, 1.0), (0.12, 0.05), (0.07, 0.0)]
)
def test_above_counts_anywhere_horizontally(z, expected):
    s = state(pinch=(0.6, 0.1, z))
    assert rewards.above(s, "red") == pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([0.0, 0.0, 0.0], 0.0),
        ([0.3, 0.0, 0.0], 0.1),
        ([0.005, 0.0, 0.0], 0.005 / 3),
        ([0.1, 0.5, 0.0], 1.5 / 3),
        ([0.0, 0.0, 0.02], 2.02 / 3),
        ([1.0, 1.0, 0.01], 2.0 / 3),  # not above the threshold
        ([1.0, 1.0, 1.0], 1.0),
    ],
)
def test_staged(stages, expected):
    assert rewards.staged(stages) == pytest.approx(expected)


def test_sparsify_counts_a_stage_above_its_threshold_only():
    assert rewards.sparsify([0.95, 0.951, 0.3, 1.0]) == [0.0, 1.0, 0.0, 1.0]
