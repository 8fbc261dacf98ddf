"""Tasks for gymnasium: import this module, then make an environment by name.

    gymnasium.make("HeLMS/StackRedBlue-v0", object_set=4, reward="dense")

The import registers every task of `tasks.TASKS` as `HeLMS/NAME-v0`, with its name in
camel case. Shimmy does not fit: it takes only environments of dm_control, and its
import registers and loads all of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dm_env
import gymnasium
import numpy as np
from dm_env import specs
from gymnasium import error, spaces, utils

from environments import cameras, factory, scene, stacking, tasks

NAMESPACE = "HeLMS"


class StackingEnv(gymnasium.Env, utils.EzPickle):
    """Environment of one task, whose observations are a dictionary as in dm_env.

    `gymnasium.wrappers.FlattenObservation` makes one vector of them. The reward is in
    [0, 1]. The time limit truncates an episode, and a diverging simulation terminates
    it; `success` in the last `info` tells whether the goal is reached.

    `copy.deepcopy` and `pickle` make a new environment of the same arguments, which
    needs a reset, as with gymnasium's MuJoCo environments.
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
        """Builds the environment.

        Args:
          task: one of `tasks.TASKS`.
          render_mode: rgb_array; or None, with which `render` returns None.
          render_size: (height, width) of the image that `render` returns.
          render_camera: `scene.MAIN_CAMERA` or one of `scene.CAMERAS`.
          **arguments: arguments of `environments.make` except the seed, which `reset`
            takes.

        Raises:
          ValueError: a value is not valid; the message names the valid ones.
        """
        utils.EzPickle.__init__(
            self, task, render_mode, render_size, render_camera, **arguments
        )
        if render_mode == "human":
            raise ValueError(
                "unknown render mode 'human'; valid: None, rgb_array; gymnasium.make "
                "opens a window with 'human' where the package pygame is installed"
            )
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
        """Starts an episode; a seed, if given, determines all that follows.

        There are no options.

        Returns:
          The observation, and the draws of the episode.
        """
        super().reset(seed=seed)
        episode_seed = seed if seed is not None else int(self.np_random.integers(2**31))
        self._environment.seed_episode(episode_seed)
        timestep = self._environment.reset()
        return timestep.observation, self._environment.episode_info()

    def step(
        self, action: np.ndarray
    ) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Advances 0.05 s; returns observation, reward, terminated, truncated, info.

        Raises:
          gymnasium.error.ResetNeeded: no episode has begun, or the last one has ended.
          ValueError: the action has another shape, is not finite, or is outside
            [-1, 1].
        """
        if self._environment.needs_reset:
            raise error.ResetNeeded(
                "no episode has begun, or it has ended: call reset before step"
            )
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
        """Returns an image, uint8 [H, W, 3], if the render mode is rgb_array.

        Raises:
          gymnasium.error.ResetNeeded: no episode has begun yet.
        """
        if self.render_mode is None:
            return None
        if not self._environment.episode_info():
            raise error.ResetNeeded("no episode has begun: call reset before render")
        return self._environment.render(
            self._render_height, self._render_width, self._render_camera
        )

    def close(self) -> None:
        """Frees the OpenGL contexts, if any."""
        self._environment.close()

    @property
    def environment(self) -> stacking.RgbStacking:
        """Wrapped `RgbStacking` environment."""
        return self._environment


def name(task: str) -> str:
    """Returns gymnasium's name of a task: HeLMS/StackRedBlue-v0 of stack_red_blue."""
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
