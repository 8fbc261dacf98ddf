"""Builds environments from names."""

from __future__ import annotations

from collections.abc import Sequence

from environments import cameras as camera_lib
from environments import objects, scene
from environments.randomization import RandomizationConfig
from environments.stacking import MAX_ACTION_DELAY, RgbStacking, StackingConfig
from environments.tasks import REWARDS, TASKS

OBSERVATIONS = ("state", "vision")


def validate(
    task: str,
    reward: str,
    object_set: objects.ObjectSet,
    max_action_delay: int = 0,
) -> None:
    """Raises a ValueError that names the valid values, and builds nothing."""
    scene.one_of("task", task, TASKS)
    scene.one_of("reward", reward, REWARDS)
    objects.check(object_set)
    scene.one_of("max action delay", max_action_delay, range(MAX_ACTION_DELAY + 1))


def make(
    task: str = "stack_red_blue",
    reward: str = "staged_sparse",
    object_set: objects.ObjectSet = 4,
    observations: str = "state",
    domain_randomization: bool | RandomizationConfig = False,
    max_action_delay: int = 0,
    seed: int | None = None,
    preset: str | scene.Physics = scene.DEFAULT_PRESET,
    cameras: Sequence[str] = scene.CAMERAS[:1],
    image_size: tuple[int, int] = (64, 64),
    grouped: bool = False,
) -> RgbStacking:
    """Builds the RGB-stacking environment.

    Args:
      task: stack_TOP_BOTTOM, lift_COLOR or reach_COLOR, of red, green and blue;
        or pyramid: red and green side by side, blue on top.
      reward: dense, staged_sparse or sparse (appendix F of the paper).
      object_set: 1 to 5; "random", three training objects an episode; or three ids.
      observations: state; or vision, which adds the images of `cameras` to it.
      domain_randomization: whether physics are drawn an episode and observations are
        noisy, or from which ranges: `print(RandomizationConfig())` shows the default's.
      max_action_delay: 0 to 2 control steps; drawn from 0 to this an episode.
      seed: of all draws; None for a fresh one.
      preset: fast (default) or reference physics, or a `scene.Physics`.
      cameras: of the images; one or more of `scene.CAMERAS`.
      image_size: (height, width) of the images.
      grouped: whether the state is the vectors that agents see, `proprio` and
        `objects`, instead of named observations.

    Returns:
      A `dm_env.Environment`.

    Raises:
      ValueError: a value that is not valid; the message names the valid ones.
    """
    validate(task, reward, object_set, max_action_delay)
    scene.one_of("observations", observations, OBSERVATIONS)
    camera_lib.check(cameras, image_size)
    randomization = None
    if domain_randomization:
        randomization = (
            domain_randomization
            if isinstance(domain_randomization, RandomizationConfig)
            else RandomizationConfig()
        )
    height, width = image_size
    config = StackingConfig(
        reward=reward,
        object_set=object_set,
        randomization=randomization,
        max_action_delay=max_action_delay,
        cameras=tuple(cameras) if observations == "vision" else (),
        image_size=(height, width),
        grouped=grouped,
    )
    return RgbStacking(scene.build(object_set, preset), TASKS[task], config, seed)
