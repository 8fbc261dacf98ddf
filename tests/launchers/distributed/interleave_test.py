"""Batches that outlive a shard."""

import itertools
import threading
import time

import pytest

from launchers.distributed.interleave import InterleavedIterator


def test_turns_are_fair_where_all_have_something():
    mixed = InterleavedIterator([itertools.repeat(i) for i in range(3)])
    time.sleep(0.3)
    first = [next(mixed) for _ in range(3)]
    assert sorted(first) == [0, 1, 2]
    counts = [0, 0, 0]
    for _ in range(300):
        time.sleep(0.001)
        counts[next(mixed)] += 1
    assert min(counts) > 50


def test_an_iterator_that_is_stuck_holds_nobody_up():
    never = threading.Event()

    def stuck():
        yield "first"
        never.wait()

    mixed = InterleavedIterator([stuck(), itertools.repeat("other")])
    found = [next(mixed) for _ in range(20)]
    assert found.count("first") == 1 and found.count("other") == 19


def test_an_error_is_raised():
    def fails():
        yield 1
        raise ValueError("broken shard")

    mixed = InterleavedIterator([fails()])
    assert next(mixed) == 1
    with pytest.raises(ValueError, match="broken shard"):
        next(mixed)
