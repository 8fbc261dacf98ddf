"""Rollouts with one skill held for a whole episode, as figure 3a of the paper."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from agents.helms.skills import Skills
from environments import observations, scene
from environments.rendering import RenderingUnavailable
from environments.stacking import RgbStacking
from launchers import figures

FRAME_HEIGHT, FRAME_WIDTH = 120, 160


@dataclasses.dataclass(frozen=True)
class Rollout:
    """What one skill did from one initial state.

    Attributes:
      skill: its index.
      seed: of the initial state.
      tool_heights: [T+1] m, world.
      fingers: [T+1] tics, 0 open to 255 closed.
      distances: [T+1, 3] m between the tool and red, green, blue.
      frames: uint8 [F, H, W, 3]; none where there is no OpenGL.
    """

    skill: int
    seed: int
    tool_heights: np.ndarray
    fingers: np.ndarray
    distances: np.ndarray
    frames: np.ndarray


class SkillRunner:
    """Runs single skills in an environment, without noise."""

    def __init__(self, skills: Skills, environment: RgbStacking) -> None:
        """The environment is not wrapped: states and images are read from it."""
        self._environment = environment
        self._decode = tf.function(
            lambda skill, proprio, objects: skills.decode(
                skill, {"proprio": proprio, "objects": objects}
            )
        )

    def run(self, skill: int, seed: int, steps: int, frames: int) -> Rollout:
        """Holds `skill` for `steps` control steps and keeps `frames` images of them."""
        environment = self._environment
        environment.seed_episode(seed)
        timestep = environment.reset()
        keep = set(np.linspace(0, steps, frames, dtype=int).tolist()) if frames else ()
        states, images = [environment.state()], []
        for step in range(steps + 1):
            if step in keep:
                images.append(self._image())
            if step == steps or timestep.last():
                break
            grouped = observations.group(timestep.observation)
            action = self._decode(
                tf.constant(skill, tf.int32),
                tf.constant(grouped["proprio"]),
                tf.constant(grouped["objects"]),
            )
            timestep = environment.step(action.numpy())
            states.append(environment.state())
        pinch = np.stack([s.pinch for s in states])
        objects = np.stack(
            [[s.objects[c] for c in observations.COLORS] for s in states]
        )
        shape = (0, FRAME_HEIGHT, FRAME_WIDTH, 3)
        return Rollout(
            skill=skill,
            seed=seed,
            tool_heights=pinch[:, 2],
            fingers=np.array([s.finger for s in states]),
            distances=np.linalg.norm(objects - pinch[:, None], axis=-1),
            frames=np.stack(images) if images else np.zeros(shape, np.uint8),
        )

    def _image(self) -> np.ndarray:
        return self._environment.render(FRAME_HEIGHT, FRAME_WIDTH)


def can_render(environment: RgbStacking) -> bool:
    """Whether an OpenGL library is there; says in one line why where it is not."""
    try:
        environment.render(FRAME_HEIGHT, FRAME_WIDTH)
    except RenderingUnavailable as e:
        print(f"no pictures: {e}")
        return False
    return True


def describe(rollouts: Iterable[Rollout]) -> str:
    """A table: how each skill moves the hand, means over its rollouts."""
    lines = ["skill  height   fingers  to red   to green  to blue   (start -> end)"]
    by_skill: dict[int, list[Rollout]] = {}
    for rollout in rollouts:
        by_skill.setdefault(rollout.skill, []).append(rollout)
    for skill, group in sorted(by_skill.items()):
        height = np.mean([[r.tool_heights[0], r.tool_heights[-1]] for r in group], 0)
        finger = np.mean([r.fingers[-1] for r in group])
        start = np.mean([r.distances[0] for r in group], 0)
        end = np.mean([r.distances[-1] for r in group], 0)
        moves = "  ".join(f"{a:.2f}>{b:.2f}" for a, b in zip(start, end, strict=True))
        lines.append(
            f"{skill:5d}  {height[0]:.2f}>{height[1]:.2f}  {finger:6.0f}  {moves} m"
        )
    return "\n".join(lines)


def write_contact_sheet(path: pathlib.Path, rollouts: Sequence[Rollout]) -> None:
    """One row a rollout, time to the right; written aside, then renamed."""
    columns = max(len(r.frames) for r in rollouts)
    figure = figures.make(1.6 * columns + 0.6, 1.25 * len(rollouts))
    axes = figure.subplots(len(rollouts), columns, squeeze=False)
    for row, rollout in zip(axes, rollouts, strict=True):
        for axis, frame in zip(row, rollout.frames, strict=False):
            axis.imshow(frame)
            axis.set_xticks([])
            axis.set_yticks([])
        row[0].set_ylabel(f"skill {rollout.skill}")
    seconds = (len(rollouts[0].tool_heights) - 1) * scene.CONTROL_TIMESTEP
    figure.suptitle(f"each row holds one skill for {seconds:.0f} s", fontsize=9)
    figures.save(path, figure, dpi=100)
