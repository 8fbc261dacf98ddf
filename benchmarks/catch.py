"""Catch, bsuite's smallest control task (https://github.com/google-deepmind/bsuite).

A ball falls one row per step through a board of 10 rows and 5 columns; the paddle in
the last row moves one column left or right, or stays. The episode ends when the ball
reaches the last row: the reward is 1 if the paddle is there, else -1.
"""

from __future__ import annotations

import dm_env
import numpy as np
from dm_env import specs

ROWS, COLUMNS = 10, 5


class Catch(dm_env.Environment):
    """Game of Catch whose action is one number, rounded to a move of the paddle."""

    def __init__(self, seed: int):
        """Takes the seed of the columns in which balls start."""
        self._rng = np.random.default_rng(seed)
        self._ball, self._paddle = [0, 0], COLUMNS // 2

    def reset(self) -> dm_env.TimeStep:
        """Puts a ball in a random column of the first row, the paddle in the middle."""
        self._ball = [0, int(self._rng.integers(COLUMNS))]
        self._paddle = COLUMNS // 2
        return dm_env.restart(self._board())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Moves the paddle, then the ball."""
        move = int(np.round(np.clip(action[0], -1.0, 1.0)))
        self._paddle = int(np.clip(self._paddle + move, 0, COLUMNS - 1))
        self._ball[0] += 1
        if self._ball[0] < ROWS - 1:
            return dm_env.transition(np.float32(0.0), self._board(), np.float32(1.0))
        caught = self._ball[1] == self._paddle
        return dm_env.termination(np.float32(1.0 if caught else -1.0), self._board())

    def _board(self) -> np.ndarray:
        board = np.zeros((ROWS, COLUMNS), np.float32)
        board[self._ball[0], self._ball[1]] = 1.0
        board[ROWS - 1, self._paddle] = 1.0
        return board.ravel()

    def observation_spec(self) -> specs.Array:
        """Returns the spec of the board, row by row: 1 where ball and paddle are."""
        return specs.Array((ROWS * COLUMNS,), np.float32, name="board")

    def action_spec(self) -> specs.BoundedArray:
        """Returns the spec of an action, one number."""
        return specs.BoundedArray((1,), np.float32, -1.0, 1.0, name="move")

    def reward_spec(self) -> specs.Array:
        """Returns the spec of rewards: 1, 0 or -1."""
        return specs.Array((), np.float32, name="reward")

    def discount_spec(self) -> specs.BoundedArray:
        """Returns the spec of discounts: 0 at the end, else 1."""
        return specs.BoundedArray((), np.float32, 0.0, 1.0, name="discount")
