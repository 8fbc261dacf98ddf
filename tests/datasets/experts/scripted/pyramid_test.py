"""The scripted expert of pyramids builds one, by the state alone."""

import numpy as np
import pytest

import environments
from datasets import experts
from datasets.experts.scripted import placing, pyramid
from datasets.experts.scripted.geometry import Placed, Solid
from environments import tasks


def test_it_builds_a_pyramid_and_earns_the_stages():
    environment = environments.make(task="pyramid", object_set=4)
    expert = experts.factory("scripted", "pyramid")(environment)
    environment.seed_episode(6)
    timestep = environment.reset()
    expert.reset(6)
    stages = set()
    while not timestep.last():
        timestep = environment.step(expert.step(timestep))
        stages.add(round(9 * float(timestep.reward)))
    assert environment.success()
    # Beside, then the top object grasped, lifted, over the two, on them, and alone.
    assert {4, 5, 6, 7, 8, 9} <= stages


def test_it_does_no_other_task():
    with pytest.raises(ValueError, match="does no other task: pyramid"):
        pyramid.trio(tasks.TASKS["stack_red_blue"])


def _cube(position, angle=0.0):
    corners = np.stack(np.meshgrid(*[[-0.025, 0.025]] * 3), -1).reshape(-1, 3)
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
    return Placed(Solid(corners), np.array(position), np.array(position), rotation)


def test_beside_is_near_with_room_for_the_fingers():
    height = placing.FLOOR + 0.025
    placed = [_cube([0.55, 0.0, 0.12]), _cube([0.6, 0.0, height])]
    placed.append(_cube([0.6, 0.06, height]))  # where red would be without it
    closing = np.array([1.0, 0.0])  # red is to come to the left or right of y
    goal = placing.beside(0, 1, closing, placed)
    away = goal.goal(placed) - placed[1].position[:2]
    assert 0.05 < np.linalg.norm(away) <= 0.075
    assert away[1] < -0.03  # away from the third, and not along the fingers
    assert goal.support(placed) == placing.FLOOR
    bridge = placing.across(2, 0, 1, lift=0.03)
    np.testing.assert_allclose(bridge.goal(placed), [0.575, 0.0])
    assert bridge.support(placed) == pytest.approx(0.145)
