"""Calls that outlive their node, and batches that outlive a shard."""

import contextlib
import itertools
import threading
import time

import courier
import pytest

from agents.builder import Stopped
from launchers.distributed.interleave import MixedIterator
from launchers.distributed.retrying_client import PatientClient


def _serve(port=None, **methods):
    server = courier.Server(port=port)
    for name, method in methods.items():
        server.Bind(name, method)
    server.Start()
    return server


def test_a_call_waits_until_the_node_is_back():
    server = _serve(double=lambda x: 2 * x)
    port, waits = server.port, []

    @contextlib.contextmanager
    def waiting(on):
        waits.append(on)
        yield

    client = PatientClient(
        courier.Client(f"localhost:{port}"), "learner", threading.Event(), waiting
    )
    assert client.double(4) == 8 and waits == []
    server.Stop()
    again = []
    timer = threading.Timer(1.0, lambda: again.append(_serve(port, double=lambda x: x)))
    timer.start()
    assert client.double(5) == 5
    assert waits == ["learner, which is away"]
    again[0].Stop()


def test_an_error_of_the_node_is_an_answer():
    def fails():
        raise KeyError("no such")

    server = _serve(fails=fails)
    client = PatientClient(
        courier.Client(f"localhost:{server.port}"), "x", threading.Event()
    )
    with pytest.raises(Exception, match="no such"):
        client.fails()
    with pytest.raises(Exception, match="not found"):
        client.nothing()
    server.Stop()


def test_the_stop_ends_the_wait():
    stop = threading.Event()
    client = PatientClient(courier.Client("localhost:1"), "x", stop)
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(Stopped, match="x is away"):
        client.anything()


def test_turns_are_fair_where_all_have_something():
    mixed = MixedIterator([itertools.repeat(i) for i in range(3)])
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

    mixed = MixedIterator([stuck(), itertools.repeat("other")])
    found = [next(mixed) for _ in range(20)]
    assert found.count("first") == 1 and found.count("other") == 19


def test_an_error_is_raised():
    def fails():
        yield 1
        raise ValueError("broken shard")

    mixed = MixedIterator([fails()])
    assert next(mixed) == 1
    with pytest.raises(ValueError, match="broken shard"):
        next(mixed)
