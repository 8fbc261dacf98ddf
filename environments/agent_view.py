"""An external environment as agents see it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import dm_env
import numpy as np
from acme import wrappers
from dm_env import specs

from environments import mapping
from environments.config import EnvironmentConfig
from environments.external import ExternalEnvironment


class AgentView(wrappers.EnvironmentWrapper):
    """Wrapper that gives agents proprio and objects, and takes actions in [-1, 1].

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
