"""Calls that outlive their node."""

import contextlib
import threading

import courier
import pytest

from agents.builder import Stopped
from launchers.distributed.retrying_client import RetryingClient


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

    client = RetryingClient(
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
    client = RetryingClient(
        courier.Client(f"localhost:{server.port}"), "x", threading.Event()
    )
    with pytest.raises(Exception, match="no such"):
        client.fails()
    with pytest.raises(Exception, match="not found"):
        client.nothing()
    server.Stop()


def test_the_stop_ends_the_wait():
    stop = threading.Event()
    client = RetryingClient(courier.Client("localhost:1"), "x", stop)
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(Stopped, match="x is away"):
        client.anything()
