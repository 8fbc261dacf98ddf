"""The rules that put a skill into words, and the test of whether skills differ."""

import numpy as np
import pytest
from scipy import stats

from environments.observations import COLORS
from launchers.analysis import behaviour
from launchers.analysis.rollouts import Rollout

STILL = {
    "height_start": 0.3,
    "height_end": 0.3,
    "closing_start": 0.0,
    "closing_end": 0.0,
    "grasp_share": 0.0,
    **{f"distance_{c}_start": 0.2 for c in COLORS},
    **{f"distance_{c}_end": 0.2 for c in COLORS},
    **{f"lift_{c}": 0.0 for c in COLORS},
    **{f"slide_{c}": 0.0 for c in COLORS},
}


def _rollout(skill=0, seed=0, pinch=None, objects=None, fingers=(0, 0), grasps=(0, 0)):
    pinch = np.zeros((2, 3)) if pinch is None else np.array(pinch, float)
    objects = np.zeros((2, 3, 3)) if objects is None else np.array(objects, float)
    none = np.zeros((1, 2))
    return Rollout(
        skill=skill,
        seed=seed,
        pinch=pinch,
        objects=objects,
        fingers=np.array(fingers, float),
        grasps=np.array(grasps, bool),
        latents=none,
        latent_means=none,
        latent_stddevs=none,
        frames=np.zeros((0, 2, 2, 3), np.uint8),
    )


def test_measures_of_a_rollout():
    objects = np.zeros((3, 3, 3))
    objects[:, 0] = [[0.3, 0.4, 0.0], [0.3, 0.4, 0.05], [0.0, 0.0, 0.01]]
    found = behaviour.measure(
        _rollout(
            pinch=[[0, 0, 0.5], [0, 0, 0.2], [0, 0, 0.1]],
            objects=objects,
            fingers=[0.0, 0.5, 1.0],
            grasps=[0, 1, 0],
        )
    )
    assert found["height_start"] == 0.5 and found["height_end"] == 0.1
    assert found["closing_start"] == 0.0 and found["closing_end"] == 1.0
    assert found["grasp_share"] == pytest.approx(1 / 3)
    assert found["distance_red_start"] == pytest.approx(np.sqrt(0.5))
    assert found["distance_red_end"] == pytest.approx(0.09)
    assert found["distance_blue_end"] == pytest.approx(0.1)
    assert found["lift_red"] == pytest.approx(0.05)  # its most, not its last
    assert found["slide_red"] == pytest.approx(0.5)
    assert found["lift_green"] == found["slide_green"] == 0.0


def test_skills_are_grouped_with_their_starts_in_one_order():
    rollouts = [
        _rollout(skill, seed, fingers=(0, 0.1 * seed + skill))
        for skill, seed in ((1, 2), (0, 1), (1, 1), (0, 2))
    ]
    first, second = behaviour.by_skill(rollouts)
    np.testing.assert_allclose(first["closing_end"], [0.1, 0.2])
    np.testing.assert_allclose(second["closing_end"], [1.1, 1.2])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "stays where it is, fingers open"),
        ({"height_end": 0.4}, "rises, fingers open"),
        ({"height_end": 0.1}, "descends, fingers open"),
        ({"height_end": 0.281}, "stays where it is, fingers open"),
        (
            {"height_end": 0.1, "distance_red_end": 0.02},
            "descends to red, fingers open",
        ),
        ({"distance_blue_end": 0.1}, "moves level to blue, fingers open"),
        (
            {"distance_blue_end": 0.1, "distance_red_end": 0.11},
            "moves level to the objects, fingers open",
        ),
        ({"distance_blue_end": 0.17}, "stays where it is, fingers open"),
        (
            {"distance_blue_start": 0.11, "distance_blue_end": 0.1},
            "stays where it is, fingers open",
        ),
        ({"closing_end": 0.5}, "stays where it is, fingers half open"),
        (
            {"closing_end": 0.9, "grasp_share": 0.5, "lift_red": 0.1, "slide_red": 0.1},
            "stays where it is, grasps, lifts red, fingers closed",
        ),
        (
            {"slide_green": 0.03, "slide_blue": 0.03},
            "stays where it is, pushes green and blue, fingers open",
        ),
    ],
)
def test_words(changes, words):
    assert behaviour.words(STILL | changes) == words


def test_the_statistic_of_two_skills_is_a_paired_t_squared():
    rng = np.random.default_rng(0)
    starts = rng.normal(size=8) * 10
    ends = np.stack([starts + rng.normal(size=8), starts + rng.normal(size=8) + 0.7])
    found = behaviour.separation(ends[..., None], seed=0, permutations=4000)
    assert found is not None
    paired = stats.ttest_rel(ends[0], ends[1])
    assert found.statistic == pytest.approx(paired.statistic**2)
    # All 2^8 exchanges of the signs of the differences, enumerated.
    differences = ends[0] - ends[1]
    signs = 1 - 2 * ((np.arange(256)[:, None] >> np.arange(8)) & 1)
    exact = np.mean(
        abs((signs * differences).mean(1)) >= abs(differences.mean()) - 1e-9
    )
    assert found.p_value == pytest.approx(exact, abs=0.02)


def test_a_constant_difference_is_all_there_is():
    starts = np.random.default_rng(0).normal(size=(6, 2))
    ends = np.stack([starts, starts + [1.0, 0.0], starts + [2.0, 0.0]])
    found = behaviour.separation(ends, seed=0)
    assert found is not None
    np.testing.assert_allclose(found.explained, [1.0, 0.0])
    assert found.p_value < 0.01
    assert found.distances[0, 2] == pytest.approx(2 * found.distances[0, 1])
    np.testing.assert_array_equal(np.diag(found.distances), 0.0)


def test_skills_that_do_not_differ():
    ends = np.random.default_rng(5).normal(size=(4, 60, 3))
    found = behaviour.separation(ends, seed=0)
    assert found is not None
    assert 0.4 < found.statistic < 1.8
    assert found.p_value > 0.05


def test_nothing_to_compare():
    assert behaviour.separation(np.zeros((1, 5, 2)), seed=0) is None
    assert behaviour.separation(np.zeros((3, 1, 2)), seed=0) is None
    assert behaviour.separation(np.ones((3, 5, 2)), seed=0) is None
