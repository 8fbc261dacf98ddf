"""Nodes tell the coordinator what they wait on."""

import threading
import time

import courier
import pytest

from launchers.distributed import heartbeat


def _state(waits=(), age=0.5):
    return {"host": "a", "pid": 7, "waits": list(waits), "age": age}


def test_waits_nest_and_end():
    one = heartbeat.Heartbeat("actor/0", None, threading.Event())
    assert one.state()["waits"] == []
    with one.waiting("a"):
        with one.waiting("b"):
            ((on, seconds),) = one.state()["waits"]
            assert on == "b" and seconds < 1
        assert one.state()["waits"][0][0] == "a"
    assert one.state()["waits"] == []


def test_beats_arrive(monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.05)
    register = heartbeat.Register()
    server = courier.Server()
    server.Bind("beat", register.beat)
    server.Start()
    stop = threading.Event()
    one = heartbeat.Heartbeat(
        "learner", courier.Client(f"localhost:{server.port}"), stop
    )
    deadline = time.monotonic() + 20
    with one.waiting("samples"):
        while not register.nodes() and time.monotonic() < deadline:
            time.sleep(0.05)
        found = register.nodes()["learner"]
    stop.set()
    server.Stop()
    assert found["age"] < 5 and found["waits"][0][0] == "samples"


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("actor/0", {}),
        ("actor/0", None),
        ("actor/0", {"host": "a", "pid": 7}),
        ("actor/0", {"host": "a", "pid": "7", "waits": []}),
        ("actor/0", {"host": b"a", "pid": 7, "waits": []}),
        ("actor/0", {"host": "a", "pid": 7, "waits": [("x", None)]}),
        ("actor/0", {"host": "a", "pid": 7, "waits": [("x", float("nan"))]}),
        ("actor/0", {"host": "a", "pid": 7, "waits": [("x",)]}),
        (7, {"host": "a", "pid": 7, "waits": []}),
    ],
)
def test_what_is_no_heartbeat_is_refused(name, state):
    register = heartbeat.Register()
    with pytest.raises(ValueError, match="not a heartbeat"):
        register.beat(name, state)
    assert register.nodes() == {}


def test_a_heartbeat_of_another_version_brings_what_is_known():
    register = heartbeat.Register()
    register.beat("learner", {**_state([("x", 1)]), "age": "?", "more": object()})
    found = register.nodes()["learner"]
    assert sorted(found) == ["age", "host", "pid", "waits"] and found["age"] < 5


def test_complaints_are_of_silence_and_of_long_waits():
    nodes = {
        "actor/0": _state(),
        "actor/1": _state([("an insert", 31.0), ("x", 1.0)]),
        "learner": _state([("samples", 99.0)], age=20.0),
    }
    assert heartbeat.complaints(nodes) == [
        "actor/1 has waited 31 s on an insert",
        "learner was last heard of 20 s ago",
    ]
