"""Boundary tables of the reward primitives, stages and tasks."""

import itertools

import numpy as np
import pytest

from environments import rewards, tasks

BLUE = np.array([0.6, 0.0, 0.07])


def state(pinch=(0.6, 0.1, 0.3), red=(0.6, 0.1, 0.07), finger=0.0, grasp=1):
    return rewards.State(
        pinch=np.array(pinch),
        objects={
            "red": np.array(red),
            "green": np.array([0.7, 0.1, 0.07]),
            "blue": BLUE,
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


def test_task_rewards_in_a_finished_stack():
    s = state(pinch=(0.6, 0.0, 0.21), red=(0.6, 0.0, 0.11))
    task = tasks.TASKS["stack_red_blue"]
    assert [task.reward(kind, s) for kind in tasks.REWARDS] == [1.0, 1.0, 1.0]
    assert tasks.TASKS["stack_blue_red"].reward("sparse", s) == 0.0


def test_every_ordered_pair_is_a_task():
    pairs = itertools.permutations(("red", "green", "blue"), 2)
    assert set(tasks.TASKS) == {f"stack_{a}_{b}" for a, b in pairs}
