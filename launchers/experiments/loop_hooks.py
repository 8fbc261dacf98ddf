"""Hooks of the acting loop in every launch: persistent counts, stops, observers."""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dm_env
from acme import core
from acme.utils import counting, observers

from agents.builder import Stopped
from launchers.common import atomic_files
from launchers.experiments.episodes import episode_success

_COUNTS = "counts.json"


class PersistentCounter(counting.Counter):
    """Root counter that starts from, and is saved in, `WORKDIR/counts.json`."""

    def __init__(self, workdir: str, read: bool = True):
        """Reads the file, unless told otherwise.

        Raises:
          ValueError: in one line, if it is there and not readable.
        """
        super().__init__()
        self._path = pathlib.Path(workdir) / _COUNTS
        if read and self._path.exists():
            self._counts = dict(atomic_files.read_json(self._path))

    def reset(self, counts: Mapping[str, float]) -> None:
        """Continues from these counts."""
        self._counts = dict(counts)

    def persist(self) -> None:
        """Writes the current counts."""
        atomic_files.write_json(self._path, dict(self.get_counts()))


class Hooked(core.Actor):
    """Actor that calls `hook` after every step, in place of the wrapped actor's update.

    The hook may raise `Stopped`, which ends the episode at once.
    """

    def __init__(self, actor: core.Actor, hook: Callable[[], None]):
        self._actor = actor
        self._hook = hook

    def select_action(self, observation: Any) -> Any:
        """Returns the wrapped actor's action."""
        return self._actor.select_action(observation)

    def observe_first(self, timestep: dm_env.TimeStep) -> None:
        """Passes the first time step to the wrapped actor."""
        self._actor.observe_first(timestep)

    def observe(self, action: Any, next_timestep: dm_env.TimeStep) -> None:
        """Passes a step to the wrapped actor."""
        self._actor.observe(action, next_timestep)

    def update(self, wait: bool = False) -> None:
        """Calls the hook."""
        self._hook()


class SuccessObserver(observers.EnvLoopObserver):
    """Observer that adds to an episode's log whether it ended in success."""

    def __init__(self) -> None:
        self._success: bool | None = False

    def observe_first(self, env: dm_env.Environment, timestep: dm_env.TimeStep) -> None:
        """Clears the result of the previous episode."""
        self._success = False

    def observe(
        self, env: dm_env.Environment, timestep: dm_env.TimeStep, action: Any
    ) -> None:
        """Asks the environment for success at the end of an episode."""
        if timestep.last():
            self._success = episode_success(env)

    def get_metrics(self) -> Mapping[str, float]:
        """Returns `success`, 1 or 0; nothing where the environment cannot tell."""
        return {} if self._success is None else {"success": float(self._success)}


def raise_if(stopped: Callable[[], bool]) -> None:
    """Raises `Stopped` if the program is stopping."""
    if stopped():
        raise Stopped("the program is stopping")


def run_together(loops: Sequence[Callable[[], None]]) -> None:
    """Calls all loops, each in its own thread if there are several; waits for all.

    Raises:
      Exception: the first that was raised, once all loops have ended.
    """
    if len(loops) == 1:
        return loops[0]()
    errors: list[BaseException] = []

    def call(loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=call, args=(loop,)) for loop in loops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
