"""An environment of gymnasium whose info tells of success: `tests/Goal-v0`."""

import gymnasium
import numpy as np
from gymnasium import spaces

GOAL = "gym:tests/Goal-v0"


class Goal(gymnasium.Env):
    """An environment whose info tells of success, with a dictionary of observations."""

    observation_space = spaces.Dict(
        {"hand": spaces.Box(-1, 1, (2,)), "goal": spaces.Box(-1, 1, (1, 2), np.float64)}
    )
    action_space = spaces.Box(*np.array([[-2, 0], [2, 4]], np.float32))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._draw = self.np_random.uniform(-1, 1, (1, 2))
        return {"hand": np.zeros(2, np.float32), "goal": self._draw}, {}

    def step(self, action):
        self.action = action
        observation = {"hand": np.ones(2, np.float32), "goal": self._draw}
        return observation, 1, False, True, {"is_success": np.True_}


gymnasium.register("tests/Goal-v0", f"{__name__}:Goal")
