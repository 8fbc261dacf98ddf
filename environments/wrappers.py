"""Wrappers of dm_env environments."""

from __future__ import annotations

from collections.abc import Mapping

import dm_env
import numpy as np
from acme import specs as acme_specs
from acme import wrappers
from dm_env import specs

from environments import controller, observations
from environments.stacking import RgbStacking


def environment_spec() -> acme_specs.EnvironmentSpec:
    """Returns the grouped spec of an environment on state, without building one."""
    return acme_specs.EnvironmentSpec(
        observations=observations.group_specs(),
        actions=specs.BoundedArray((controller.ACTION_SIZE,), np.float32, -1.0, 1.0),
        rewards=specs.Array((), np.float32),
        discounts=specs.BoundedArray((), np.float64, 0.0, 1.0),  # dm_env's default
    )


class GroupObservations(wrappers.EnvironmentWrapper):
    """Wrapper that groups observations into the vectors that agents see.

    These are proprio and objects; cameras pass through under their names.
    """

    def __init__(self, environment: RgbStacking, object_order: str = "color"):
        """Takes `object_order`, one of `observations.OBJECT_ORDERS`."""
        super().__init__(environment)
        self._object_order = object_order

    def observation_spec(self) -> dict[str, specs.Array]:
        """Returns specs of `proprio` [P] and `objects` [O], float32, and of cameras."""
        inner = self._environment.observation_spec()
        return observations.group_specs() | {
            k: v for k, v in inner.items() if k.endswith("/pixels")
        }

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        return self._grouped(self._environment.reset())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Advances one control step."""
        return self._grouped(self._environment.step(action))

    def grouped(self, observation: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns proprio [P], objects [O] and the cameras' images."""
        cameras = {k: v for k, v in observation.items() if k.endswith("/pixels")}
        colors = self._environment.task.colors(self._object_order)
        return observations.group(observation, colors) | cameras

    def scaled(self, action: np.ndarray) -> np.ndarray:
        """Returns an action within [-1, 1], the environment's own units."""
        return np.clip(action, -1.0, 1.0)

    def _grouped(self, timestep: dm_env.TimeStep) -> dm_env.TimeStep:
        return timestep._replace(observation=self.grouped(timestep.observation))
