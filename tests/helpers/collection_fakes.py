"""A tiny environment and expert with the real shapes, for tests."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import time
import zlib
from typing import ClassVar

import dm_env
import numpy as np
from dm_env import specs

from datasets.rlds import schema
from environments import observations


class FakeEnvironment(dm_env.Environment):
    """Noise of the real shapes, drawn from the episode's seed, kind and actions.

    Attributes:
      combination: task and object set of the episode.
    """

    def __init__(
        self,
        max_steps: int = 12,
        step_seconds: float = 0.0,
        fault: str = "",
        faulty_seed: int = -1,
        action_size: int = schema.ACTION_SIZE,
        success_rate: float = 0.5,
        min_steps: int = 5,
        exit_seconds: float = 0.0,
    ) -> None:
        """Sets it up.

        Args:
          max_steps: episodes take at most this many control steps.
          step_seconds: each control step sleeps this long.
          fault: raise, kill or nan, in the third step of the episode of `faulty_seed`.
          faulty_seed: see `fault`; -1 for every episode.
          action_size: D.
          success_rate: share of the episodes that succeed.
          min_steps: episodes take at least this many.
          exit_seconds: a worker takes this long to end.
        """
        if exit_seconds and multiprocessing.parent_process() is not None:
            atexit.register(time.sleep, exit_seconds)
        self._steps = min_steps, max_steps
        self._step_seconds = step_seconds
        self._fault = fault
        self._faulty_seed = faulty_seed
        self._action_size = action_size
        self._success_rate = success_rate
        self._seed = 0
        self._task = "stack_red_blue"
        self._object_set: int | str = 4
        self.combination: tuple[str, int | str] = self._task, self._object_set
        self._t = -1

    def action_spec(self) -> specs.BoundedArray:
        """[D] float32 in [-1, 1]."""
        return specs.BoundedArray((self._action_size,), np.float32, -1.0, 1.0)

    def observation_spec(self) -> dict[str, specs.Array]:
        """The real state observations."""
        return {
            name: specs.Array(observations.shape(name), observations.dtype(name), name)
            for name in (*observations.FRAME_SIZES, observations.PREVIOUS_ACTION)
        }

    def seed_episode(self, seed: int) -> None:
        """The next episode draws from this seed."""
        self._seed = seed

    def set_task(self, name: str) -> None:
        """The next episode draws from this task too."""
        self._task = name

    def set_objects(self, object_set: int | str) -> None:
        """The next episode draws from this set too."""
        self._object_set = object_set

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        self.combination = self._task, self._object_set
        kind = zlib.crc32(f"{self._task} {self._object_set}".encode())
        self._rng = np.random.default_rng((self._seed, kind))
        self._length = int(self._rng.integers(*self._steps, endpoint=True))
        self._terminal = bool(self._rng.random() < self._success_rate)
        self._t = 0
        return dm_env.restart(self._observe(0.0))

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Advances one step; the action moves every observation."""
        time.sleep(self._step_seconds)
        self._t += 1
        observation = self._observe(float(np.sum(action)))
        reward = np.float32(self._rng.uniform())
        if self._t == 3 and self._faulty_seed in (-1, self._seed):
            if self._fault == "raise":
                raise RuntimeError("the fake environment was told to fail")
            if self._fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self._fault == "nan":
                observation["wrist/force"][0, 1] = np.nan
        if self._t < self._length:
            return dm_env.transition(reward, observation)
        if self._terminal:
            return dm_env.termination(reward, observation)
        return dm_env.truncation(reward, observation)

    def success(self) -> bool:
        """Those that end before their time."""
        return self._terminal

    def episode_info(self) -> dict[str, float | int]:
        """A delay, and one factor of the physics."""
        return {"action_delay": self._length % 3, "friction": self._length / 10.0}

    def _observe(self, shift: float) -> dict[str, np.ndarray]:
        return {
            name: (self._rng.normal(size=spec.shape) + shift).astype(spec.dtype)
            if spec.dtype == np.float32
            else self._rng.integers(1, 4, spec.shape).astype(spec.dtype)
            for name, spec in self.observation_spec().items()
        }


class FakeExpert:
    """Acts by the observation and by noise; has two phases."""

    PHASES: ClassVar[tuple[str, ...]] = ("early", "late")

    def __init__(self, environment: dm_env.Environment) -> None:
        """Reads the action spec."""
        self._size = environment.action_spec().shape[0]
        self.phase = -1

    def reset(self, seed: int) -> None:
        """Begins an episode."""
        self._rng = np.random.default_rng(seed)
        self._t = 0

    def step(self, timestep: dm_env.TimeStep) -> np.ndarray:
        """Returns a noisy function of the tool's height, [D]."""
        self.phase = int(self._t >= 3)
        self._t += 1
        height = timestep.observation["sawyer/tcp/pose"][0, 2]
        self.intended = np.full(self._size, np.tanh(height), np.float32)
        return np.tanh(height + self._rng.normal(size=self._size)).astype(np.float32)
