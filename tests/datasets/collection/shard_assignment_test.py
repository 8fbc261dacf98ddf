"""Which episodes go into which file, in whatever order they come."""

import dataclasses
import random

import pytest

from datasets.collection import shard_assignment
from datasets.rlds import schema
from environments import EnvironmentConfig

ALL = schema.Settings(
    EnvironmentConfig.paper(),
    "fake",
    episodes=5,
    episodes_per_shard=2,
)
SUCCESSES = dataclasses.replace(ALL, keep="successes")
SUCCEED = (1, 2, 5, 6, 7, 9, 10)  # of the episodes below


def record(index):
    return str(index).encode()


def files(keeper, indices, succeed=None):
    found = {}
    for index in indices:
        kept = succeed is None or index in succeed
        for shard, records in keeper.add(index, record(index) if kept else None):
            assert shard not in found
            found[shard] = [int(r) for r in records]
    return found


@pytest.mark.parametrize("seed", range(10))
def test_files_do_not_depend_on_the_order_of_arrival(seed):
    order = list(range(5))
    random.Random(seed).shuffle(order)
    keeper = shard_assignment.make(ALL, {})
    assert list(keeper.indices()) == list(range(5))
    assert files(keeper, order) == {0: [0, 1], 1: [2, 3], 2: [4]}
    assert keeper.complete and keeper.tried == 5

    order = list(range(12))
    random.Random(seed).shuffle(order)
    keeper = shard_assignment.make(SUCCESSES, {})
    assert files(keeper, order, SUCCEED) == {0: [1, 2], 1: [5, 6], 2: [7]}
    assert keeper.complete


def test_an_interruption_is_continued_after_what_is_there():
    keeper = shard_assignment.make(ALL, {0: [0, 1], 2: [4]})
    assert list(keeper.indices()) == [2, 3] and keeper.tried == 3
    assert files(keeper, [3, 2]) == {1: [2, 3]}

    keeper = shard_assignment.make(SUCCESSES, {0: [1, 2]})
    indices = iter(keeper.indices())
    assert [next(indices) for _ in range(3)] == [3, 4, 5] and keeper.tried == 3
    assert files(keeper, [3, 4, 7, 6, 5], SUCCEED) == {1: [5, 6], 2: [7]}
    assert keeper.complete


def test_successes_before_a_file_that_is_there_are_not_sought():
    with pytest.raises(ValueError, match="file 0 is missing before others"):
        shard_assignment.make(SUCCESSES, {1: [5, 6]})


def test_what_fits_a_file():
    assert shard_assignment.fits(ALL, 1, [2, 3], after=1)
    assert not shard_assignment.fits(ALL, 1, [3, 2], after=1)
    assert not shard_assignment.fits(ALL, 1, [2], after=1)
    assert shard_assignment.fits(SUCCESSES, 1, [5, 6], after=2)
    assert shard_assignment.fits(SUCCESSES, 2, [7], after=6)
    assert not shard_assignment.fits(SUCCESSES, 1, [5], after=2)
    assert not shard_assignment.fits(SUCCESSES, 1, [5, 5], after=2)
    assert not shard_assignment.fits(SUCCESSES, 1, [2, 5], after=2)


def test_without_any_success_it_gives_up():
    last = shard_assignment.PATIENCE - 1
    keeper = shard_assignment.make(SUCCESSES, {})
    assert not files(keeper, range(last), {})
    with pytest.raises(ValueError, match="none of the first 100 .*expert fake; valid:"):
        files(keeper, [last], {})
    one = shard_assignment.make(SUCCESSES, {})
    assert not files(one, range(3 * last), {last})
