"""Actors that share a policy's calls: rows, leaving, errors."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from agents.builder import Decision, Policy
from agents.mpo.batched_acting import BatchedActor, BatchedPolicy


class _Double(Policy):
    """The latent is the observation, the action twice that; -1 is an error."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __call__(self, observation, seed, held=None):
        del seed, held
        value = observation["x"]
        positive = tf.debugging.assert_non_negative(value)
        with tf.control_dependencies([positive]):
            self.calls.append(value.shape)
            return Decision(value[:, 0], 2.0 * value)

    @property
    def learned_variables(self):
        return []


def _act(runner, row, values, results):
    actor = BatchedActor(runner, row)
    try:
        for value in values:
            action = actor.select_action({"x": np.array([value], np.float32)})
            assert actor.agent_action is not None
            results.append((row, value, float(actor.agent_action), float(action[0])))
    except tf.errors.InvalidArgumentError:
        results.append((row, "error"))
    finally:
        actor.leave()


def _together(values):
    policy = _Double()
    results: list[tuple] = []
    runner = BatchedPolicy(policy, seed=0, num_actors=len(values))
    threads = [
        threading.Thread(target=_act, args=(runner, row, some, results))
        for row, some in enumerate(values)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    return policy, results


def test_each_gets_its_own_row_however_long_the_others_stay():
    values = [range(0, 30), range(100, 105), range(200, 260)]
    policy, results = _together(values)
    for row, value, latent, action in results:
        assert value in values[row] and latent == value and action == 2 * value
    assert len(results) == 30 + 5 + 60
    assert policy.calls == [(3, 1)]  # one trace, of all rows


def test_an_error_reaches_all():
    _, results = _together([[1, 2, -1, 3], [5, 6, 7, 8]])
    assert sorted(r for r in results if r[1] == "error") == [(0, "error"), (1, "error")]


def test_draws_come_from_the_seed_and_the_call():
    class Noise(_Double):
        def __call__(self, observation, seed, held=None):
            shape = tf.shape(observation["x"])
            return Decision(tf.zeros([1]), tf.random.stateless_normal(shape, seed))

    def draws(seed):
        runner = BatchedPolicy(Noise(), seed)
        return [float(runner.decide(0, {"x": np.zeros(1)})[1][0]) for _ in range(3)]

    assert draws(1) == draws(1) != draws(2)
    assert len(set(draws(1))) == 3


def test_a_single_actor_needs_no_thread():
    runner = BatchedPolicy(_Double(), seed=0)
    assert runner.decide(0, {"x": np.array([4.0], np.float32)})[1] == pytest.approx(8.0)
