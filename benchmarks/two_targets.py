"""Small task of two stages with a sparse reward, on the suite's planar point mass.

Shape letters: N points.
"""

from __future__ import annotations

import collections

import dm_env
import numpy as np
from acme import wrappers
from dm_control.rl import control
from dm_control.suite import base, point_mass

EPISODE_STEPS = 200
CONTROL_SECONDS = 0.1
REACH = 0.2  # m, limit of starts and targets along each axis; joints end at 0.29
RADIUS = 0.06  # m, distance within which the mass touches a target
APART = 0.1  # m, least distance between start, A and B


class TwoTargets(base.Task):
    """Task of touching A, then B; each earns 0.5 once, and the second ends the episode.

    `proprio` is the mass's position [m] and velocity [m/s]; `objects` are the vectors
    from it to A and to B [m] and a flag, which is 1 once A has been touched.
    """

    def __init__(self, seed: int, free: bool = False):
        """Makes the task.

        Args:
          seed: seed of starts and targets.
          free: whether touches have no effect: an episode keeps a flag drawn at its
            start, has no reward, and ends by the time limit only.
        """
        super().__init__(random=seed)
        self._free = free
        self._reward = 0.0
        self.stage = 0  # number of targets touched
        self.targets = np.zeros((2, 2))  # A and B

    def initialize_episode(self, physics: point_mass.Physics) -> None:
        """Draws start and targets; puts the mass at rest."""
        start, *targets = self._apart(3)
        physics.data.qpos[:] = start
        self.targets = np.stack(targets)
        self.stage = int(self.random.randint(2)) if self._free else 0
        self._reward = 0.0
        super().initialize_episode(physics)

    def _apart(self, count: int) -> np.ndarray:
        """Draws points [N, 2], no two of them nearer than `APART`."""
        while True:
            points = self.random.uniform(-REACH, REACH, size=(count, 2))
            distances = np.linalg.norm(points[:, None] - points, axis=-1)
            if distances[np.triu_indices(count, 1)].min() >= APART:
                return points

    def after_step(self, physics: point_mass.Physics) -> None:
        """Checks whether the mass touches the next target."""
        self._reward = 0.0
        if self._free or self.stage == 2:
            return
        if np.linalg.norm(self.targets[self.stage] - physics.position()) < RADIUS:
            self.stage += 1
            self._reward = 0.5

    def get_observation(self, physics: point_mass.Physics) -> dict[str, np.ndarray]:
        """Returns the observation; see the class's docstring."""
        position = physics.position()
        vectors = (self.targets - position).ravel()
        return collections.OrderedDict(
            proprio=np.concatenate([position, physics.velocity()]),
            objects=np.append(vectors, float(self.stage > 0)),
        )

    def get_reward(self, physics: point_mass.Physics) -> float:
        """Returns 0.5 at the step that touches a target, else 0."""
        del physics
        return self._reward

    def get_termination(self, physics: point_mass.Physics) -> float | None:
        """Returns a discount of 0 once both targets are touched, else None."""
        del physics
        return 0.0 if self.stage == 2 and not self._free else None


class _Environment(control.Environment):
    def success(self) -> bool:
        """Returns whether both targets have been touched."""
        return self.task.stage == 2


def make(seed: int, free: bool = False) -> dm_env.Environment:
    """Makes the environment, float32, with two forces in [-1, 1] as its action.

    See `TwoTargets`.
    """
    environment = _Environment(
        point_mass.Physics.from_xml_string(*point_mass.get_model_and_assets()),
        TwoTargets(seed, free),
        time_limit=EPISODE_STEPS * CONTROL_SECONDS,
        control_timestep=CONTROL_SECONDS,
    )
    environment = wrappers.CanonicalSpecWrapper(environment, clip=True)
    return wrappers.SinglePrecisionWrapper(environment)
