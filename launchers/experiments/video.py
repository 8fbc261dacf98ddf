"""Video or still images of an evaluation's first episode."""

from __future__ import annotations

import pathlib

import dm_env
import imageio.v2 as imageio
import numpy as np

from launchers.common import atomic_files

_FRAME_EVERY = 2  # control steps of 0.05 s
_FRAMES_PER_SECOND = 10  # plays a video in real time
_HEIGHT, _WIDTH = 240, 320
_ROWS, _COLUMNS = 2, 4  # images in a .png


def path(workdir: str, actor_steps: int) -> pathlib.Path:
    """Returns the path of the video of an evaluation after this many actor steps."""
    return pathlib.Path(workdir) / "videos" / f"{actor_steps:09d}.mp4"


class Recorder:
    """Recorder of every second image of the first episode, while rendering works."""

    def __init__(self) -> None:
        self._frames: list[np.ndarray] = []
        self._steps = 0
        self._over = False
        self._error: str | None = None

    def __call__(
        self, environment: dm_env.Environment, timestep: dm_env.TimeStep
    ) -> None:
        """Records after every reset and step; see `episodes.run_episodes`."""
        if self._over or self._error:
            return
        self._over = timestep.last()
        if self._steps % _FRAME_EVERY == 0:
            try:
                self._frames.append(environment.render(height=_HEIGHT, width=_WIDTH))
            except Exception as e:  # a missing GL library may raise anything
                self._error = f"rendering does not work here: {e}"
        self._steps += 1

    def write(self, path: pathlib.Path) -> dict[str, str | None]:
        """Writes the file atomically: a video, or a .png of some images."""
        if self._error or not self._frames:
            return {"video": None, "video_error": self._error or "no images"}
        with atomic_files.aside(path) as aside:
            if path.suffix == ".png":
                imageio.imwrite(aside, _sheet(self._frames))
            else:
                imageio.mimwrite(aside, self._frames, fps=_FRAMES_PER_SECOND)
        return {"video": str(path)}


def _sheet(frames: list[np.ndarray]) -> np.ndarray:
    """Arranges images from the first to the last in one, row by row."""
    chosen = np.linspace(0, len(frames) - 1, _ROWS * _COLUMNS).round().astype(int)
    images = np.stack([frames[i] for i in chosen])
    height, width, channels = images.shape[1:]
    grid = images.reshape(_ROWS, _COLUMNS, height, width, channels)
    return grid.swapaxes(1, 2).reshape(_ROWS * height, _COLUMNS * width, channels)
