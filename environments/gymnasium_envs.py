"""The tasks for gymnasium: `import environments.gymnasium_envs`, then make one.

    gymnasium.make("HeLMS/StackRedBlue-v0", object_set=4, reward="dense")

registers as `HeLMS/NAME-v0` every task of `tasks.TASKS`, with its name in camel case.
Shimmy does not fit: it takes environments of dm_control alone, and its import registers
and loads all of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dm_env
import gymnasium
import numpy as np
from dm_env import specs
from gymnasium import spaces

from environments import cameras, factory, scene, stacking, tasks

NAMESPACE = "HeLMS"


class StackingEnv(gymnasium.Env):
    """One task; observations are a dictionary, as in dm_env.

    `gymnasium.wrappers.FlattenObservation` makes one vector of them. The reward is in
    [0, 1]. An episode is truncated by its time and terminated where its simulation
    diverges; its last `info` says with `success` whether the goal is reached.
    """

    metadata = {
        "render_modes": ["rgb_array"],
        "render_fps": round(1 / scene.CONTROL_TIMESTEP),
    }

    def __init__(
        self,
        task: str = "stack_red_blue",
        render_mode: str | None = None,
        render_size: tuple[int, int] = (240, 320),
        render_camera: str = scene.MAIN_CAMERA,
        **arguments: Any,
    ) -> None:
        """Builds it.

        Args:
          task: of `tasks.TASKS`.
          render_mode: rgb_array, or None: `render` returns nothing.
          render_size: (height, width) of what `render` returns.
          render_camera: `scene.MAIN_CAMERA` or one of `scene.CAMERAS`.
          **arguments: of `environments.make`; the seed is an argument of `reset`.

        Raises:
          ValueError: a value that is not valid; the message names the valid ones.
        """
        scene.one_of("render mode", render_mode, (None, *self.metadata["render_modes"]))
        cameras.check_size(render_size)
        scene.one_of(
            "render camera", render_camera, (scene.MAIN_CAMERA, *scene.CAMERAS)
        )
        self.render_mode = render_mode
        self._render_height, self._render_width = render_size
        self._render_camera = render_camera
        self._environment = factory.make(task=task, **arguments)
        self.action_space = _space(self._environment.action_spec())
        self.observation_space = spaces.Dict(
            {k: _space(v) for k, v in self._environment.observation_spec().items()}
        )

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Starts an episode; all that follows derives from the seed, if one is given.

        Returns:
          The observation, and what was drawn for the episode. There are no options.
        """
        super().reset(seed=seed)
        episode_seed = seed if seed is not None else int(self.np_random.integers(2**31))
        self._environment.seed_episode(episode_seed)
        timestep = self._environment.reset()
        return timestep.observation, self._environment.episode_info()

    def step(
        self, action: np.ndarray
    ) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Advances 0.05 s: observation, reward, terminated, truncated, info."""
        timestep: dm_env.TimeStep = self._environment.step(action)
        terminated = timestep.last() and timestep.discount == 0.0
        truncated = timestep.last() and not terminated
        info = {}
        if timestep.last():
            info = {
                **self._environment.episode_info(),
                "success": self._environment.success(),
            }
        reward = float(timestep.reward)
        return timestep.observation, reward, terminated, truncated, info

    def render(self) -> np.ndarray | None:
        """An image, uint8 [H, W, 3], if the render mode is rgb_array."""
        if self.render_mode is None:
            return None
        return self._environment.render(
            self._render_height, self._render_width, self._render_camera
        )

    def close(self) -> None:
        """Frees the OpenGL contexts, where there are any."""
        self._environment.close()

    @property
    def environment(self) -> stacking.RgbStacking:
        """The environment itself."""
        return self._environment


def name(task: str) -> str:
    """What gymnasium calls a task: stack_red_blue is HeLMS/StackRedBlue-v0."""
    return f"{NAMESPACE}/{''.join(part.capitalize() for part in task.split('_'))}-v0"


def _space(spec: specs.Array) -> spaces.Box:
    low: np.ndarray | float
    high: np.ndarray | float
    if isinstance(spec, specs.BoundedArray):
        low = np.broadcast_to(spec.minimum, spec.shape)
        high = np.broadcast_to(spec.maximum, spec.shape)
    elif np.issubdtype(spec.dtype, np.integer):
        low, high = np.iinfo(spec.dtype).min, np.iinfo(spec.dtype).max
    else:
        low, high = -np.inf, np.inf
    return spaces.Box(low, high, spec.shape, spec.dtype)


for _task in tasks.TASKS:
    if name(_task) not in gymnasium.registry:
        gymnasium.register(
            name(_task), f"{__name__}:StackingEnv", kwargs={"task": _task}
        )
