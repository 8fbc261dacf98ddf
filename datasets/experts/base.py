"""Experts, which act during collection: interface, forms, and the random expert."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import dm_env
import numpy as np

from environments import importing, tasks

FORMS = ("scripted", "saved_model:PATH", "random", "random:STEPS")
USER_FORM = "package.module:make"  # a function from an environment to an expert


class Expert(Protocol):
    """Interface of an expert, which acts for one episode after another.

    Attributes:
      PHASES: names of its phases; empty where it has none.
      phase: index into `PHASES` of the last action; -1 for none.
      intended: the last action before exploration noise, float32 [D] within the bounds;
        equal to the action where the expert adds no noise. A user's expert may lack it.
    """

    PHASES: ClassVar[tuple[str, ...]]
    phase: int
    intended: np.ndarray

    def reset(self, seed: int) -> None:
        """Starts an episode whose task and objects the environment has already set.

        All noise derives from the seed.
        """

    def step(self, timestep: dm_env.TimeStep) -> np.ndarray:
        """Returns the action, float32 [D]."""


class RandomExpert:
    """Expert that draws actions uniformly within the bounds of the action spec.

    Draws of every control step cancel out where a step is short; held ones move.
    """

    PHASES: ClassVar[tuple[str, ...]] = ()

    def __init__(self, environment: dm_env.Environment, hold: int = 1) -> None:
        """Reads the action spec of `environment`; a draw acts for `hold` steps."""
        self._spec = environment.action_spec()
        self._hold, self._step = hold, 0
        self._rng = np.random.default_rng(0)
        self.phase = -1

    def reset(self, seed: int) -> None:
        """Starts an episode."""
        self._rng, self._step = np.random.default_rng(seed), 0

    def step(self, timestep: dm_env.TimeStep) -> np.ndarray:
        """Returns a uniform action, float32 [D]."""
        del timestep
        if self._step % self._hold == 0:
            low, high = self._spec.minimum, self._spec.maximum
            draw = self._rng.uniform(low, high, self._spec.shape)
            self.intended = draw.astype(np.float32)
        self._step += 1
        return self.intended.copy()


def _scripted(environment: dm_env.Environment) -> Expert:
    from datasets.experts.scripted import expert, pyramid

    if environment.task.trio is not None:
        return pyramid.PyramidExpert(environment)
    return expert.ScriptedExpert(environment)


def _saved_model(path: str, environment: dm_env.Environment) -> Expert:
    del environment  # reads its own observations
    from datasets.experts import saved_model

    return saved_model.SavedModelExpert(path)


def _user(form: str, environment: dm_env.Environment) -> Expert:
    """Makes a user's expert, which may lack what is not of its kind: phases, noise."""
    make = MAKERS.get(form) or importing.function(form, "expert")
    expert: Any = make(environment)
    for name in ("reset", "step"):
        if not callable(getattr(expert, name, None)):
            raise ValueError(f"expert {form!r} has no {name}(); valid: reset and step")
    for name, value in (("PHASES", ()), ("phase", -1)):
        if not hasattr(expert, name):
            setattr(expert, name, value)
    return expert


Maker = Callable[[dm_env.Environment], Expert]
# Experts that a name alone makes; a user's module adds rows.
MAKERS: dict[str, Callable[[dm_env.Environment], Any]] = {
    "scripted": _scripted,
    "random": RandomExpert,
}


def factory(
    form: str, *names: str, more: Mapping[str, Callable[[str], Maker]] | None = None
) -> Maker:
    """Returns a picklable function from an environment to the expert of this form.

    Args:
      form: one of `FORMS`.
      names: names of the tasks that it must do.
      more: functions for further forms NAME:PATH, by NAME, from PATH to such a
        function.

    Raises:
      ValueError: the form is unknown, a path holds no model, or the expert cannot do a
        task.
    """
    name, _, path = form.partition(":")
    if name == "saved_model" and path:
        from datasets.experts import saved_model

        saved_model.check(path)
        return functools.partial(_saved_model, path)
    for other, make in (more or {}).items():
        if path and name == other.partition(":")[0]:
            return make(path)
    if name == "random" and path:
        if not path.isdecimal() or int(path) < 1:
            raise ValueError(
                f"expert {form!r}; valid: random:STEPS, the control steps from 1 for "
                "which a draw is held"
            )
        return functools.partial(RandomExpert, hold=int(path))
    if form not in MAKERS:
        if path:
            importing.function(form, "expert")
            return functools.partial(_user, form)
        valid = ", ".join(dict.fromkeys((*FORMS, *MAKERS, *(more or {}), USER_FORM)))
        raise ValueError(f"unknown expert {form!r}; valid: {valid}")
    if form == "scripted":
        from datasets.experts.scripted import expert

        for task in names:
            if task not in tasks.TASKS:
                raise ValueError(
                    "the scripted expert acts in the Sawyer cell, not in "
                    f"{task}; valid: random, checkpoint:DIR, package.module:make"
                )
            if tasks.TASKS[task].trio is None:
                expert.pair(tasks.TASKS[task])
    return functools.partial(_user, form)
