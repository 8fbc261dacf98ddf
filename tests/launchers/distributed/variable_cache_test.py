"""The cache of a learner's variables, without a server."""

import threading

import numpy as np
import pytest

from agents.builder import Stopped
from launchers.distributed import variable_cache


class _Learner:
    """Variables that all have the value of the fetch's number."""

    def __init__(self, first=1):
        self.calls = first - 1

    def get_variables(self, names):
        self.calls += 1
        return [[np.full((3, 2), self.calls, np.float32), np.float32(self.calls)]] * (
            len(names)
        )


def test_a_reply_is_of_one_fetch():
    """Both names are read while fetches go on: never one old, one new."""
    made = variable_cache.VariableCache(
        _Learner(), names=("policy", "critic"), update_seconds=1e-6
    )
    stop = threading.Event()
    thread = threading.Thread(target=made.poll, args=(stop,))
    thread.start()
    try:
        for _ in range(200):
            policy, critic = made.get_variables(["policy", "critic"])
            assert policy[1] == critic[1] == policy[0][0, 0]
    finally:
        stop.set()
        thread.join()


def test_a_caller_that_waits_sees_the_stop():
    made = variable_cache.VariableCache(_Learner(), stopped=lambda: True)
    with pytest.raises(Stopped):
        made.get_variables(["policy"])


def test_a_failing_source_is_asked_less_and_less(monkeypatch):
    class Failing:
        def get_variables(self, names):
            raise RuntimeError("away")

    pauses = []

    class Stop(threading.Event):
        def wait(self, timeout=None):
            pauses.append(timeout)
            return len(pauses) > 7

    variable_cache.VariableCache(Failing(), update_seconds=1.0).poll(Stop())
    assert pauses == [0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"names": ()}, "got none"), ({"update_seconds": 0}, "must be positive, got 0")],
)
def test_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        variable_cache.VariableCache(_Learner(), **arguments)


def test_unknown_names():
    made = variable_cache.VariableCache(_Learner())
    with pytest.raises(ValueError, match=r"no variables \['critc'\]"):
        made.get_variables(["policy", "critc"])
