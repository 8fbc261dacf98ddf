"""Configuration of an environment, which defines all of it except its seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from environments import cameras as camera_lib
from environments import objects, scene
from environments import observations as observation_lib
from environments.randomization import RandomizationConfig
from environments.tasks import REWARDS, TASKS

OBSERVATIONS = ("state", "vision")
MAX_ACTION_DELAY = 2  # control steps
# Settings of an environment from elsewhere; all others are the cell's.
OF_EXTERNAL = ("environment", "proprio", "objects", "action_bounds")


def _tuples(values: Any) -> Any:
    return tuple(map(_tuples, values)) if isinstance(values, list) else values


@dataclasses.dataclass(frozen=True)
class EnvironmentConfig:
    """Configuration of an environment: everything that defines it except its seed.

    Attributes:
      task: stack_TOP_BOTTOM, lift_COLOR or reach_COLOR, of red, green and blue; or
        pyramid, red and green side by side with blue on top.
      reward: dense, staged_sparse or sparse (appendix F of the paper).
      object_set: 1 to 5; random, three training objects drawn for each episode; or
        three ids of objects.
      domain_randomization: whether physics are drawn for each episode and observations
        are noisy; or a `RandomizationConfig`, the ranges of both.
      max_action_delay: largest delay that an episode draws, control steps, 0 to 2.
      observations: state; or vision, which adds the images of the cameras.
      cameras: cameras of the images, one or more of `scene.CAMERAS`.
      image_size: (height, width) of the images.
      grouped: whether the state is given as the vectors that agents see, proprio and
        objects, instead of named observations.
      object_order: color, or role in the task (`observations.OBJECT_ORDERS`): order of
        the objects in the grouped observation. Agents over skills have the skills'.
      preset: fast or reference physics; or a `scene.Physics`.
      environment: an environment from elsewhere, in place of this cell:
        dm_control:DOMAIN/TASK, gym:ID, or package.module:make. With it, only the
        following settings are given.
      proprio: observations of an environment from elsewhere that make up proprio, in
        order; by default those of the skills.
      objects: likewise, of what is around the robot.
      action_bounds: low and high of its actions, which are -1 and 1 for agents; None
        for those of the skills, or else of its action spec.
    """

    task: str = "stack_red_blue"
    reward: str = "staged_sparse"
    object_set: objects.ObjectSet = 4
    domain_randomization: bool | RandomizationConfig = False
    max_action_delay: int = 0
    observations: str = "state"
    cameras: tuple[str, ...] = scene.CAMERAS[:1]
    image_size: tuple[int, int] = (64, 64)
    grouped: bool = False
    object_order: str = observation_lib.OBJECT_ORDERS[0]
    preset: str | scene.Physics = scene.DEFAULT_PRESET
    environment: str | None = None
    proprio: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    action_bounds: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError, naming the valid values, for a value that is not valid."""
        for name in ("object_set", "cameras", "image_size", *OF_EXTERNAL[1:]):
            if isinstance(getattr(self, name), list):  # JSON and flags give a list
                object.__setattr__(self, name, _tuples(getattr(self, name)))
        self._check_external()
        scene.one_of("task", self.task, TASKS)
        scene.one_of("reward", self.reward, REWARDS)
        objects.check(self.object_set)
        delays = range(MAX_ACTION_DELAY + 1)
        scene.one_of("max action delay", self.max_action_delay, delays)
        scene.one_of("observations", self.observations, OBSERVATIONS)
        scene.one_of("object order", self.object_order, observation_lib.OBJECT_ORDERS)
        camera_lib.check(self.cameras, self.image_size)
        scene.physics(self.preset)

    def _check_external(self) -> None:
        """Raises ValueError where settings of the cell and of another one are mixed."""
        for field in dataclasses.fields(self):
            is_external = field.name in OF_EXTERNAL
            if field.name == "grouped" or getattr(self, field.name) == field.default:
                continue
            if self.environment is not None and not is_external:
                raise ValueError(
                    f"{field.name} is a setting of the Sawyer cell, and the "
                    f"environment is {self.environment}: leave one of them out"
                )
            if self.environment is None and is_external:
                raise ValueError(
                    f"{field.name} is a setting of an environment from elsewhere: "
                    "give environment, too, or leave it out"
                )

    @classmethod
    def paper(cls, **changes: Any) -> EnvironmentConfig:
        """Returns the paper's setting for learning (appendix D), with `changes`."""
        return cls(**{"domain_randomization": True, "max_action_delay": 2, **changes})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EnvironmentConfig:
        """Returns the configuration that `to_dict` wrote.

        Raises:
          ValueError: a name is unknown, or a value is not valid.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            scene.one_of("setting of an environment", name, names)
        return cls(**values)

    @classmethod
    def with_defaults(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns recorded values, with the defaults of settings that are newer."""
        return {**cls().to_dict(), **values}

    def to_dict(self) -> dict[str, Any]:
        """Returns the values as JSON holds them.

        Raises:
          ValueError: the ranges or the physics are custom and so have no JSON form.
        """
        for name, plain in (("domain_randomization", bool), ("preset", str)):
            if not isinstance(getattr(self, name), plain):
                raise ValueError(f"{name} is no name, and cannot be written")
        values = dataclasses.asdict(self)
        for name in list(values):
            # Of the two kinds of environments, each has its own settings.
            if name != "environment" and (name in OF_EXTERNAL) == (
                self.environment is None
            ):
                del values[name]
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }

    @property
    def randomization(self) -> RandomizationConfig | None:
        """Ranges of physics and noise; None: nominal physics, no noise."""
        if isinstance(self.domain_randomization, RandomizationConfig):
            return self.domain_randomization
        return RandomizationConfig() if self.domain_randomization else None

    @property
    def image_cameras(self) -> tuple[str, ...]:
        """Cameras whose images are observed; empty on state."""
        return self.cameras if self.observations == "vision" else ()
