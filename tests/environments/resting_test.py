"""Contacts of what rests: too few make objects rock and creep, in silence.

MuJoCo's collision detection of meshes reads tables that a switched object brings along;
where one is missing, contacts are lost and nothing says so.
"""

import itertools

import numpy as np
import pytest

import environments
from benchmarks import rests
from environments import EnvironmentConfig, objects, observations, stacking
from tests.environments import objects_test

IDS = sorted({i for triplet in objects.SETS.values() for i in triplet})
SECONDS = 0.5
PAIRS = tuple(itertools.permutations(range(len(observations.COLORS)), 2))


@pytest.fixture(scope="module")
def default():
    return environments.make(seed=0)


def compiled_with(ids):
    """An environment whose model MuJoCo compiled with these objects."""
    config = EnvironmentConfig(reward="dense", object_set=ids)
    return stacking.RgbStacking(objects_test.compiled(ids), config, seed=0)


def every_pile(environment, ids):
    found = [rests.piled(environment, ids, SECONDS, *pair) for pair in PAIRS]
    return [rest for rest in found if rest is not None]


@pytest.mark.parametrize("object_id", IDS)
def test_an_object_rests_on_each_of_its_faces(default, object_id):
    found = rests.on_faces(default, object_id, SECONDS)
    assert len(found) >= 6
    for rest in found:
        assert rest.contacts >= 3, rest
        assert rest.moved < 5e-4 and rest.turned < 0.5, rest


def test_the_reference_rests_too():
    environment = environments.make(preset="reference", seed=0)
    for rest in rests.on_faces(environment, "s0", SECONDS):
        assert rest.contacts > 0 and rest.moved < 1e-3, rest


@pytest.mark.parametrize("number", objects.SETS)
def test_piles_of_a_switched_set_have_the_contacts_of_the_compiled_set(default, number):
    ids = objects.SETS[number]
    # From another set, so that what it leaves behind would show.
    default.set_objects(objects.SETS[number % 5 + 1])
    default.reset()
    switched = every_pile(default, ids)
    assert switched == every_pile(compiled_with(ids), ids)
    assert len(switched) >= 4
    for rest in switched:
        assert rest.contacts >= 3, rest
        assert rest.moved < 1e-3, rest


def test_a_face_is_stable_only_under_the_weight():
    solid, centre = rests.read(default_cube(), 0)
    assert len(rests.faces(solid, centre)) == 6
    beside = np.array([0.04, 0.0, 0.0])  # m, out of a cube of 5 cm
    assert len(rests.faces(solid, beside)) == 2


def default_cube():
    environment = environments.make(object_set=("s0", "s0", "s0"), seed=0)
    environment.reset()
    return environment
