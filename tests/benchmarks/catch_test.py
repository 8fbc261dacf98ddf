"""A perfect player of catch, and one that stays at the edge."""

import numpy as np
import pytest

from benchmarks import catch


def _play(policy, episodes=200):
    environment, returns = catch.Catch(seed=0), []
    for _ in range(episodes):
        timestep, steps = environment.reset(), 0
        while not timestep.last():
            board = timestep.observation.reshape(catch.ROWS, catch.COLUMNS)
            timestep = environment.step(np.array([policy(board)]))
            steps += 1
        assert steps == catch.ROWS - 1 and timestep.discount == 0.0
        returns.append(timestep.reward)
    return returns


def test_catch():
    def follow(board):
        ball = int(np.argmax(board[:-1].max(axis=0)))
        return np.sign(ball - int(np.argmax(board[-1])))

    assert set(_play(follow)) == {1.0}
    left = _play(lambda board: -1.0)  # caught where the ball falls at the left edge
    assert np.mean(left) == pytest.approx(2 * 0.2 - 1, abs=0.15)
