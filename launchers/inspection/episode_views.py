"""Renders recorded episodes by setting the environment to the observed states.

Nothing is simulated: joint angles, fingers and objects are set to the observations, so
any data set of this format can be drawn, whatever made it.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Iterator, Sequence

import imageio.v2 as imageio
import numpy as np

import environments
from datasets.rlds import reader
from datasets.validation import checks, inspection
from environments import controller, observations, scene
from environments.rendering import mujoco
from environments.sensors import FULL_TICS
from launchers.common import atomic_files

VIDEO_EVERY = 2  # control steps per image
_FINGERS = "gripper/joints/angle"
_JOINTS = "sawyer/joints/angle"
_OBJECTS = tuple(f"rgb30_{color}/abs_pose" for color in observations.COLORS)
_CLOSING_STEPS = 40  # control steps, more than the fingers take to close


class EpisodeViews:
    """Renderer of episodes, one after another."""

    def __init__(self, height: int = 240, width: int = 320) -> None:
        """Builds the environment; needs no OpenGL yet."""
        self._size = height, width
        self._environment = environments.make(seed=0)
        self._tics, self._hands = self._closing()

    def images(
        self, episode: reader.Episode, steps: Sequence[int]
    ) -> Iterator[np.ndarray]:
        """Yields a view of each of these steps, uint8 [H, W, 3].

        Raises:
          ValueError: the episode lacks observations that the view needs.
          RenderingUnavailable: no OpenGL library can be loaded.
        """
        observed = {}
        for name in (_JOINTS, _FINGERS, *_OBJECTS):
            values = episode.observation.get(name)
            if values is None or not checks.is_known(name, values):
                raise ValueError(f"it has no observation {name} of this project's")
            observed[name] = checks.newest_frames(name, values)
            if not np.isfinite(observed[name]).all():
                raise ValueError(f"its {name} is not finite")
        environment = self._environment
        environment.set_objects(_objects(episode))
        environment.reset()  # Needed only to change the objects.
        model, data = environment.physics
        addresses = environment.scene
        for step in steps:
            data.qpos[addresses.arm_qpos] = observed[_JOINTS][step]
            self._set_fingers(float(observed[_FINGERS][step, 0]))
            for name, start in zip(_OBJECTS, addresses.object_qpos, strict=True):
                data.qpos[start : start + 7] = observed[name][step]
            mujoco.mj_fwdPosition(model, data)
            yield environment.render(*self._size)

    def close(self) -> None:
        """Frees the OpenGL context."""
        self._environment.close()

    @property
    def _hand(self) -> slice:
        """Returns the slice of the hand's joint positions, between arm and objects."""
        at = self._environment.scene
        return slice(at.arm_qpos.stop, int(at.object_qpos[0]))

    def _closing(self) -> tuple[np.ndarray, np.ndarray]:
        """Closes the fingers on nothing, to learn the linkage's joint positions.

        Returns:
          Openings [N] in tics, rising, and the hand's joint positions [N, J].
        """
        environment = self._environment
        environment.reset()
        _, data = environment.physics
        close = np.zeros(controller.ACTION_SIZE)
        close[2] = close[4] = 1.0  # fingers close away from the objects
        hands = {0.0: data.qpos[self._hand].copy()}
        for _ in range(_CLOSING_STEPS):
            environment.step(close)
            hands[environment.state().finger] = data.qpos[self._hand].copy()
            if environment.state().finger >= FULL_TICS:
                break
        tics = sorted(hands)
        return np.array(tics), np.stack([hands[t] for t in tics])

    def _set_fingers(self, tics: float) -> None:
        _, data = self._environment.physics
        data.qpos[self._hand] = [
            np.interp(tics, self._tics, joint) for joint in self._hands.T
        ]


def write_video(
    path: pathlib.Path, views: EpisodeViews, episode: reader.Episode
) -> None:
    """Writes an .mp4 of the whole episode, in real time.

    Raises:
      ValueError, RenderingUnavailable: see `EpisodeViews.images`.
    """
    steps = range(0, len(episode.observation[_JOINTS]), VIDEO_EVERY)
    write_images(path, views.images(episode, steps), VIDEO_EVERY)


def write_images(
    path: pathlib.Path, images: Iterable[np.ndarray], every: int = 1
) -> None:
    """Writes an .mp4 of images, in real time.

    Args:
      path: path of the video.
      images: uint8 [H, W, 3] each.
      every: control steps from an image to the next.
    """
    fps = round(1 / (scene.CONTROL_TIMESTEP * every))
    with (
        atomic_files.aside(path) as aside,
        imageio.get_writer(aside, fps=fps, macro_block_size=2) as writer,
    ):
        for image in images:
            writer.append_data(image)


def _objects(episode: reader.Episode) -> int | tuple[str, ...]:
    """Returns the objects' ids, or the set's number where the metadata lack ids."""
    drawn = inspection.drawn(episode) or {}
    ids = tuple(str(drawn.get(f"object_{color}", "")) for color in observations.COLORS)
    if all(ids):
        return ids
    number = int(episode.metadata.get("object_set", 0))
    if number == 0:
        raise ValueError("its metadata do not say which objects it has")
    return number
