"""Adapters that give environments of dm_env and of gymnasium one interface.

Shimmy converts dm_control to gymnasium and not the other way, and Acme's GymWrapper
takes gym's old interface alone: hence the adapter `Gymnasium`.
"""

from __future__ import annotations

import abc
import difflib
import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import dm_env
import numpy as np
from dm_env import specs
from typing_extensions import override

from environments import importing, scene

_SUCCESS_KEYS = ("is_success", "success")  # of gymnasium's info


class Adapter(abc.ABC):
    """What `ExternalEnvironment` wraps: the methods of dm_env, and three more."""

    @abc.abstractmethod
    def observation_spec(self) -> Any:
        """Returns the specs of the observations, which may be nested."""

    @abc.abstractmethod
    def action_spec(self) -> Any:
        """Returns the spec of an action, in the environment's own units."""

    @abc.abstractmethod
    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""

    @abc.abstractmethod
    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Advances one control step."""

    @abc.abstractmethod
    def close(self) -> None:
        """Frees what the environment holds."""

    @abc.abstractmethod
    def seed(self, seed: int) -> None:
        """Seeds the next episode, as far as the environment can be."""

    @abc.abstractmethod
    def success(self) -> bool | None:
        """Returns whether the task is solved; None: the environment does not tell."""

    @abc.abstractmethod
    def render(self, height: int, width: int) -> np.ndarray:
        """Returns an image, uint8 [H, W, 3]."""


def suite_maker(task: str) -> Callable[..., Any]:
    """Returns a function of a seed that makes DOMAIN/TASK of dm_control's suite.

    Raises:
      ValueError: there is no such task; the message names the valid ones.
    """
    from dm_control import suite

    domain, _, name = task.partition("/")
    domains = {domain for domain, _ in suite.ALL_TASKS}
    scene.one_of("domain of dm_control", domain, sorted(domains))
    tasks = [t for d, t in suite.ALL_TASKS if d == domain]
    scene.one_of(f"task of dm_control's {domain}", name, tasks)

    def make(seed: int | None) -> dm_env.Environment:
        return suite.load(domain, name, task_kwargs={"random": seed})

    return make


class DmEnv(Adapter):
    """Adapter of a `dm_env.Environment`."""

    def __init__(self, make: Callable[..., Any], name: str, seed: int | None):
        takes_seed = "seed" in inspect.signature(make).parameters
        made = _make(name, make, **({"seed": seed} if takes_seed else {}))
        if not isinstance(made, dm_env.Environment):
            raise ValueError(
                f"environment {name!r} makes a {type(made).__name__}; valid: a "
                "dm_env.Environment"
            )
        self._environment = made

    @override
    def observation_spec(self) -> Any:
        return self._environment.observation_spec()

    @override
    def action_spec(self) -> Any:
        return self._environment.action_spec()

    @override
    def reset(self) -> dm_env.TimeStep:
        return self._environment.reset()

    @override
    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        return self._environment.step(action)

    @override
    def close(self) -> None:
        self._environment.close()

    @override
    def seed(self, seed: int) -> None:
        # By the environment's own method, or else by the RandomState of dm_control.
        environment = self._environment
        own = getattr(environment, "seed_episode", None)
        if own is not None:
            own(seed)
            return
        task = getattr(environment, "task", None)
        for owner, key in ((environment, "random_state"), (task, "random")):
            state = getattr(owner, key, None)
            if isinstance(state, np.random.RandomState):
                state.seed(seed % 2**32)

    @override
    def success(self) -> bool | None:
        own = getattr(self._environment, "success", None)
        return None if own is None else bool(own())

    @override
    def render(self, height: int, width: int) -> np.ndarray:
        physics = getattr(self._environment, "physics", self._environment)
        return physics.render(height=height, width=width)


class Gymnasium(Adapter):
    """Adapter of a gymnasium environment."""

    def __init__(self, name: str):
        import gymnasium
        from gymnasium import error

        name_of_module, _, bare = name.rpartition(":")
        try:
            if name_of_module:
                importing.module(name_of_module, f"environment gym:{name}")
            spec = gymnasium.spec(bare)
        except error.Error as e:
            close = difflib.get_close_matches(bare, gymnasium.registry, 5, 0.3)
            raise ValueError(
                f"unknown gymnasium environment {name!r} ({' '.join(str(e).split())}); "
                f"valid: one of {len(gymnasium.registry)} registered ids, such as "
                f"{', '.join(close or list(gymnasium.registry)[:5])}"
            ) from e
        # The checker writes warnings for the authors of environments.
        make = functools.partial(gymnasium.make, spec, disable_env_checker=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # for authors, and of the render mode
            try:
                self._environment = make(render_mode="rgb_array")
            except Exception:  # not all have it
                self._environment = _make(f"gym:{name}", make)
        self._seed: int | None = None
        self._success: bool | None = None

    @override
    def observation_spec(self) -> Any:
        return _specs(self._environment.observation_space)

    @override
    def action_spec(self) -> Any:
        return _specs(self._environment.action_space)

    @override
    def seed(self, seed: int) -> None:
        self._seed = seed % 2**31

    @override
    def close(self) -> None:
        self._environment.close()

    @override
    def reset(self) -> dm_env.TimeStep:
        observation, info = self._environment.reset(seed=self._seed)
        self._seed = None
        self._success = _success(info)
        return dm_env.restart(observation)

    @override
    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        observation, reward, terminated, truncated, info = self._environment.step(
            action
        )
        success = _success(info)
        if success is not None:
            self._success = success
        if terminated:
            return dm_env.termination(reward, observation)
        if truncated:
            return dm_env.truncation(reward, observation)
        return dm_env.transition(reward, observation)

    @override
    def success(self) -> bool | None:
        return self._success

    @override
    def render(self, height: int, width: int) -> np.ndarray:
        del height, width  # fixed when the environment was made
        image = self._environment.render()
        if image is None:
            raise ValueError("the environment has no render mode rgb_array")
        return np.asarray(image)


def _success(info: Mapping[str, Any]) -> bool | None:
    for key in _SUCCESS_KEYS:
        if key in info:
            return bool(info[key])
    return None


def _specs(space: Any) -> Any:
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        return {name: _specs(inner) for name, inner in space.items()}
    if isinstance(space, spaces.Box):
        return specs.BoundedArray(space.shape, space.dtype, space.low, space.high)
    raise ValueError(f"{space} is no Box or Dict")


def _make(name: str, make: Callable[..., Any], **arguments: Any) -> Any:
    try:
        return make(**arguments)
    except Exception as e:  # a user's function may raise anything
        raise ValueError(
            f"environment {name!r} cannot be made: {importing.said(e)}"
        ) from e
