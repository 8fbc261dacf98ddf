"""Environments from elsewhere, as this project's commands use them.

`load` makes one of a name:

    dm_control:DOMAIN/TASK   a task of dm_control's suite
    gym:ID                   any id that gymnasium has registered, or MODULE:ID
    package.module:make      a callable that returns a `dm_env.Environment`
"""

from __future__ import annotations

from typing import Any

import dm_env
import numpy as np
from dm_env import specs

from environments import adapters, importing, mapping
from environments.rendering import RenderingUnavailable

FORMS = ("dm_control:DOMAIN/TASK", "gym:ID", "package.module:make")


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
        inner: adapters.Adapter = adapters.Gymnasium(rest)
    elif kind == "dm_control" and "/" in rest:
        inner = adapters.DmEnv(adapters.suite_maker(rest), name, seed)
    else:
        inner = adapters.DmEnv(importing.function(name, "environment"), name, seed)
    try:
        environment = ExternalEnvironment(name, inner)
    except ValueError:
        inner.close()
        raise
    if seed is not None:
        environment.seed_episode(seed)
    return environment


class ExternalEnvironment(dm_env.Environment):
    """An environment from elsewhere: named flat observations, one bounded action.

    Observations are float32 where they are of floats; nested ones have names joined by
    slashes, and a single one is `observation`. The action is float32 [D] within the
    bounds of the spec.
    """

    def __init__(self, name: str, inner: adapters.Adapter):
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
        """Frees what the environment holds, such as its renderer."""
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

        An environment of gymnasium has an image size of its own.

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
