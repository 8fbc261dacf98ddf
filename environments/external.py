"""Environments from elsewhere, as this project's commands use them.

`load` makes one of a name:

    dm_control:DOMAIN/TASK   a task of dm_control's suite
    gym:ID                   any id that gymnasium has registered, or MODULE:ID
    package.module:make      a callable that returns a `dm_env.Environment`

Shimmy converts dm_control to gymnasium and not the other way, and Acme's GymWrapper
takes gym's old interface alone: hence the adapter `_Gymnasium`.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import dm_env
import numpy as np
from acme import wrappers
from dm_env import specs

from environments import importing, mapping, scene
from environments.config import EnvironmentConfig
from environments.rendering import RenderingUnavailable

FORMS = ("dm_control:DOMAIN/TASK", "gym:ID", "package.module:make")
_SUCCESS_KEYS = ("is_success", "success")  # of gymnasium's info


class Inner(Protocol):
    """Interface of what `ExternalEnvironment` wraps: dm_env's, and three methods."""

    def observation_spec(self) -> Any:
        """Returns specs, which may be nested."""

    def action_spec(self) -> Any:
        """Returns the spec of the action."""

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Advances one control step."""

    def close(self) -> None:
        """Frees what the environment holds."""

    def seed(self, seed: int) -> None:
        """Seeds the next episode, as far as the environment can be."""

    def success(self) -> bool | None:
        """Returns whether the task is solved; None: the environment does not tell."""

    def render(self, height: int, width: int) -> np.ndarray:
        """Returns an image, uint8 [H, W, 3]."""


def load(name: str, seed: int | None = None) -> ExternalEnvironment:
    """Makes an environment.

    Args:
      name: one of `FORMS`.
      seed: seed of the environment's draws, as far as it takes one.

    Raises:
      ValueError: in one line, why there is no such environment, or why it cannot be
        used here.
    """
    kind, _, rest = name.partition(":")
    if not kind or not rest:
        raise ValueError(f"unknown environment {name!r}; valid: {', '.join(FORMS)}")
    if kind == "gym":
        inner: Any = _Gymnasium(rest)
    elif kind == "dm_control" and "/" in rest:
        inner = _DmEnv(_suite_maker(rest), name, seed)
    else:
        inner = _DmEnv(importing.function(name, "environment"), name, seed)
    try:
        environment = ExternalEnvironment(name, inner)
    except ValueError:
        inner.close()
        raise
    if seed is not None:
        environment.seed_episode(seed)
    return environment


def _called(name: str, make: Callable[..., Any], **arguments: Any) -> Any:
    try:
        return make(**arguments)
    except Exception as e:  # a user's function may raise anything
        raise ValueError(
            f"environment {name!r} cannot be made: {importing.said(e)}"
        ) from e


def _suite_maker(task: str) -> Callable[..., Any]:
    from dm_control import suite

    domain, _, name = task.partition("/")
    domains = {domain for domain, _ in suite.ALL_TASKS}
    scene.one_of("domain of dm_control", domain, sorted(domains))
    tasks = [t for d, t in suite.ALL_TASKS if d == domain]
    scene.one_of(f"task of dm_control's {domain}", name, tasks)

    def make(seed: int | None) -> dm_env.Environment:
        return suite.load(domain, name, task_kwargs={"random": seed})

    return make


class _DmEnv:
    """A `dm_env.Environment`."""

    def __init__(self, make: Callable[..., Any], name: str, seed: int | None):
        takes_seed = "seed" in inspect.signature(make).parameters
        made = _called(name, make, **({"seed": seed} if takes_seed else {}))
        if not isinstance(made, dm_env.Environment):
            raise ValueError(
                f"environment {name!r} makes a {type(made).__name__}; valid: a "
                "dm_env.Environment"
            )
        self._environment = made
        self.observation_spec = made.observation_spec
        self.action_spec = made.action_spec
        self.reset, self.step, self.close = made.reset, made.step, made.close

    def seed(self, seed: int) -> None:
        """Seeds by `seed_episode`, or by the RandomState of dm_control."""
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

    def success(self) -> bool | None:
        own = getattr(self._environment, "success", None)
        return None if own is None else bool(own())

    def render(self, height: int, width: int) -> np.ndarray:
        physics = getattr(self._environment, "physics", self._environment)
        return physics.render(height=height, width=width)


class _Gymnasium:
    """A gymnasium environment with the methods of dm_env."""

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
                self._environment = _called(f"gym:{name}", make)
        self._seed: int | None = None
        self._success: bool | None = None
        self.close = self._environment.close

    def observation_spec(self) -> Any:
        return _specs(self._environment.observation_space)

    def action_spec(self) -> Any:
        return _specs(self._environment.action_space)

    def seed(self, seed: int) -> None:
        self._seed = seed % 2**31

    def reset(self) -> dm_env.TimeStep:
        observation, info = self._environment.reset(seed=self._seed)
        self._seed = None
        self._success = _told(info)
        return dm_env.restart(observation)

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        observation, reward, terminated, truncated, info = self._environment.step(
            action
        )
        told = _told(info)
        self._success = self._success if told is None else told
        if terminated:
            return dm_env.termination(reward, observation)
        if truncated:
            return dm_env.truncation(reward, observation)
        return dm_env.transition(reward, observation)

    def success(self) -> bool | None:
        return self._success

    def render(self, height: int, width: int) -> np.ndarray:
        del height, width  # fixed when the environment was made
        image = self._environment.render()
        if image is None:
            raise ValueError("the environment has no render mode rgb_array")
        return np.asarray(image)


def _told(info: Mapping[str, Any]) -> bool | None:
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


class ExternalEnvironment(dm_env.Environment):
    """An environment from elsewhere: named flat observations, one bounded action.

    Observations are float32 where they are of floats; nested ones have names joined by
    slashes, and a single one is `observation`. The action is float32 [D] within the
    bounds of the spec.
    """

    def __init__(self, name: str, inner: Inner):
        """Reads the specs.

        Raises:
          ValueError: in one line, why it cannot be used here.
        """
        self._name, self._inner = name, inner
        try:
            spec = inner.action_spec()
            observation = mapping.flattened(inner.observation_spec())
        except ValueError as e:
            raise ValueError(
                f"environment {name!r} cannot be used: {' '.join(str(e).split())}; "
                "valid: continuous actions, and observations that are arrays"
            ) from e
        if not isinstance(spec, specs.BoundedArray) or not np.issubdtype(
            spec.dtype, np.floating
        ):
            raise ValueError(
                f"environment {name!r} has actions {spec}; valid: one array of "
                "continuous, bounded actions"
            )
        low = np.broadcast_to(spec.minimum, spec.shape).ravel()
        high = np.broadcast_to(spec.maximum, spec.shape).ravel()
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise ValueError(f"environment {name!r} has unbounded actions")
        self._inner_action = spec
        self._action_spec = specs.BoundedArray(
            low.shape, np.float32, low, high, name="action"
        )
        self._types = {key: _dtype(s.dtype) for key, s in observation.items()}
        self._observation_spec = {
            key: specs.Array(s.shape, self._types[key], name=key)
            for key, s in observation.items()
            if self._types[key] is not None
        }

    def action_spec(self) -> specs.BoundedArray:
        """Returns the spec of an action, [D] float32, with the environment's bounds."""
        return self._action_spec

    def observation_spec(self) -> dict[str, specs.Array]:
        """Returns the specs of the observations by name."""
        return self._observation_spec

    def reward_spec(self) -> specs.Array:
        """Returns the spec of the reward, a scalar float32."""
        return specs.Array((), np.float32, name="reward")

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        return self._converted(self._inner.reset())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Advances one control step; the action is clipped to its bounds."""
        spec = self._inner_action
        clipped = np.clip(action, self._action_spec.minimum, self._action_spec.maximum)
        return self._converted(
            self._inner.step(np.asarray(clipped, spec.dtype).reshape(spec.shape))
        )

    def close(self) -> None:
        """Closes the environment."""
        self._inner.close()

    def seed_episode(self, seed: int) -> None:
        """Seeds the next episode, where the environment can be seeded."""
        self._inner.seed(seed)

    def success(self) -> bool | None:
        """Returns whether the task is solved; None: the environment does not tell."""
        return self._inner.success()

    def episode_info(self) -> dict[str, Any]:
        """Returns no draws: what an environment from elsewhere draws is not known."""
        return {}

    def render(
        self, height: int = 240, width: int = 320, camera: str | None = None
    ) -> np.ndarray:
        """Returns an image, uint8 [H, W, 3], of the environment's own camera.

        gymnasium's have a size of their own.

        Raises:
          RenderingUnavailable: the environment cannot render here.
        """
        del camera
        try:
            return self._inner.render(height, width)
        except Exception as e:  # of OpenGL or of a package that is not installed
            raise RenderingUnavailable(
                f"{self._name} does not render here: {importing.said(e)}"
            ) from e

    def _converted(self, timestep: dm_env.TimeStep) -> dm_env.TimeStep:
        flat = mapping.flattened(timestep.observation)
        observation = {
            key: np.array(flat[key], spec.dtype)
            for key, spec in self._observation_spec.items()
        }
        if timestep.first():
            return dm_env.restart(observation)
        return timestep._replace(
            reward=np.float32(timestep.reward),
            discount=float(timestep.discount),
            observation=observation,
        )


def _dtype(dtype: Any) -> Any:
    """Returns the type as which an observation is given; None leaves it out."""
    kind = np.dtype(dtype).kind
    if kind == "f":
        return np.float32
    return np.dtype(dtype) if kind in "biu" else None


class AgentView(wrappers.EnvironmentWrapper):
    """An external environment as agents see it: proprio, objects, actions in [-1, 1].

    The names of `proprio` and `objects` are those of the configuration, whose
    `action_bounds`, or else those of the environment, are what -1 and 1 mean.
    """

    def __init__(self, environment: ExternalEnvironment, config: EnvironmentConfig):
        """Finds the observations.

        Raises:
          ValueError: in one line, what the environment does not have.
        """
        super().__init__(environment)
        available = environment.observation_spec()
        self._groups = {}
        for group in ("proprio", "objects"):
            keys = getattr(config, group)
            if not keys:
                raise ValueError(
                    f"--{group} is missing: which observations of "
                    f"{config.environment}? valid: {', '.join(available)}"
                )
            try:
                self._groups[group] = mapping.resolve(keys, available)
            except ValueError as e:
                raise ValueError(f"--{group} of {config.environment}: {e}") from e
        spec = environment.action_spec()
        low, high = config.action_bounds or (spec.minimum, spec.maximum)
        self._low, self._high = np.asarray(low), np.asarray(high)
        if self._low.shape != spec.shape:
            raise ValueError(
                f"the skills act in {len(self._low)} dimensions, {config.environment} "
                f"takes {spec.shape[0]}"
            )

    def grouped(self, observation: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns proprio [P] and objects [O], float32."""
        return {
            group: mapping.vector(observation, names)
            for group, names in self._groups.items()
        }

    def scaled(self, action: np.ndarray) -> np.ndarray:
        """Maps an action [D] in [-1, 1] to the environment's own units."""
        unit = (np.clip(action, -1.0, 1.0) + 1.0) / 2.0
        return (self._low + unit * (self._high - self._low)).astype(np.float32)

    def action_spec(self) -> specs.BoundedArray:
        """Returns the spec of an action, [D] float32 in [-1, 1]."""
        return specs.BoundedArray(self._low.shape, np.float32, -1.0, 1.0, name="action")

    def observation_spec(self) -> dict[str, specs.Array]:
        """Returns the specs of `proprio` [P] and `objects` [O], float32."""
        spec = self._environment.observation_spec()
        sizes = {
            group: sum(math.prod(spec[name].shape) for name in names)
            for group, names in self._groups.items()
        }
        return {k: specs.Array((n,), np.float32, name=k) for k, n in sizes.items()}

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        return self._viewed(self._environment.reset())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Advances one control step."""
        return self._viewed(self._environment.step(self.scaled(action)))

    def _viewed(self, timestep: dm_env.TimeStep) -> dm_env.TimeStep:
        return timestep._replace(observation=self.grouped(timestep.observation))
