"""Checks the environment alone: gymnasium's checker, and SB3's where it is installed.

`make test-environment` runs this where only requirements-environment.txt is installed.
"""

from __future__ import annotations

import importlib.util
import pathlib
import platform
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import gymnasium
import numpy as np
from gymnasium.utils import env_checker

import environments
from environments import gymnasium_envs

_NOT_NEEDED = ("acme", "jax", "tensorflow")


def _rewards(seed: int, steps: int = 20) -> list[float]:
    """Returns the rewards of an episode's first steps under random actions."""
    environment = environments.make(seed=seed)
    environment.reset()
    rng = np.random.default_rng(seed)
    shape = environment.action_spec().shape
    return [environment.step(rng.uniform(-1, 1, shape)).reward for _ in range(steps)]


def main() -> None:
    """Checks every task, and prints one line."""
    tasks = [name for name in gymnasium.registry if name.startswith("HeLMS/")]
    checkers = ["gymnasium"]
    with warnings.catch_warnings():
        # The checkers warn of observations without bounds, which these have not.
        warnings.filterwarnings("ignore", "(?s).*infinit")
        for name in tasks:
            environment = gymnasium.make(name)
            env_checker.check_env(environment.unwrapped, skip_render_check=True)
        if importlib.util.find_spec("stable_baselines3"):
            from stable_baselines3.common import env_checker as sb3

            checkers.append("stable-baselines3")
            for name in tasks:
                environment = gymnasium.make(name)
                sb3.check_env(gymnasium.wrappers.FlattenObservation(environment))
    if _rewards(0) != _rewards(0):
        raise RuntimeError("the same seed gave other rewards")
    # SB3 imports TensorFlow's TensorBoard where there is one, but not these.
    loaded = [name for name in _NOT_NEEDED if name in sys.modules]
    if loaded:
        raise RuntimeError(f"the environment loaded {loaded}")
    print(
        f"{len(tasks)} tasks of {gymnasium_envs.NAMESPACE} pass the checks of "
        f"{' and '.join(checkers)} on Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
