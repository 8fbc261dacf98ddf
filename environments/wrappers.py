"""dm_env wrappers."""

from __future__ import annotations

import dm_env
import numpy as np
from acme import wrappers
from dm_env import specs

from environments import observations


class GroupObservations(wrappers.EnvironmentWrapper):
    """Named observations become the vectors that agents see: proprio and objects.

    Cameras pass through under their names.
    """

    def observation_spec(self) -> dict[str, specs.Array]:
        """`proprio` [P] and `objects` [O], float32, and the cameras."""
        inner = self._environment.observation_spec()
        spec = {
            key: specs.Array((size,), np.float32, name=key)
            for key, size in observations.GROUP_SIZES.items()
        }
        return spec | {k: v for k, v in inner.items() if k.endswith("/pixels")}

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode."""
        return self._grouped(self._environment.reset())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Advances one control step."""
        return self._grouped(self._environment.step(action))

    def _grouped(self, timestep: dm_env.TimeStep) -> dm_env.TimeStep:
        observation = timestep.observation
        cameras = {k: v for k, v in observation.items() if k.endswith("/pixels")}
        return timestep._replace(observation=observations.group(observation) | cameras)
