"""Cameras: their names, and the images of one environment.

Images in the observation are drawn as cheaply as they can be without looking different:
with coarser meshes (less than a pixel off) and without multisampling. Other views, such
as those of videos, are drawn in full.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from environments import coarse_meshes, objects
from environments import scene as scene_lib
from environments.rendering import Renderer, mujoco

MAX_SIZE = 2048  # pixels
# No part of the robot comes nearer than this to a basket camera.
_NEAREST = 0.35  # m


def check(cameras: Sequence[str], image_size: Any) -> None:
    """Raises a ValueError, naming the valid values, for bad cameras or a bad size.

    Args:
      cameras: cameras of the observation; any of `scene.CAMERAS`, each once.
      image_size: (height, width) of their images.
    """
    names = ", ".join(scene_lib.CAMERAS)
    if isinstance(cameras, str) or len(set(cameras)) != len(cameras) or not cameras:
        raise ValueError(
            f"cameras {cameras!r}; valid: a list of one or more of {names}"
        )
    for camera in cameras:
        scene_lib.one_of("camera", camera, scene_lib.CAMERAS)
    check_size(image_size)


def check_size(size: Any) -> None:
    """Raises a ValueError unless `size` is (height, width) of an image."""
    if (
        not isinstance(size, tuple | list)
        or len(size) != 2
        or not all(
            isinstance(n, int | np.integer) and not isinstance(n, bool) for n in size
        )
        or not all(1 <= n <= MAX_SIZE for n in size)
    ):
        raise ValueError(
            f"image size {size!r}; valid: (height, width), whole numbers from 1 to "
            f"{MAX_SIZE}"
        )


def mjcf_name(camera: str) -> str:
    """Returns the model's name of a camera; those of the basket have a prefix."""
    return camera if camera == scene_lib.MAIN_CAMERA else f"base/{camera}"


class Views:
    """Renderer of an environment's cameras; makes all it needs at the first image.

    The simulated model has no visual meshes. The drawn model is separate, with the same
    joints; it takes over the positions and the objects before each image.
    """

    def __init__(self, slots: objects.ObjectSlots) -> None:
        """Takes the objects of the simulated model, `slots`; opens nothing yet."""
        self._slots = slots
        self._version = -1  # of the objects that the drawn model has
        self._renderers: dict[tuple[int, int, bool], Renderer] = {}
        self._versions: dict[tuple[int, int, bool], int] = {}

    def render(
        self, data: mujoco.MjData, camera: str, size: tuple[int, int], coarse: bool
    ) -> np.ndarray:
        """Returns an image, uint8 [H, W, 3].

        Args:
          data: data of the simulation, whose joint positions are drawn.
          camera: one of `scene.CAMERAS`, or `scene.MAIN_CAMERA`.
          size: (height, width).
          coarse: whether to draw coarser meshes without multisampling.

        Raises:
          RenderingUnavailable: no OpenGL library can be loaded.
          ValueError: the camera does not exist, or the size is bad.
        """
        cameras = (scene_lib.MAIN_CAMERA, *scene_lib.CAMERAS)
        scene_lib.one_of("camera", camera, cameras)
        key = (*size, coarse)
        if key not in self._renderers:
            check_size(size)
        model, drawn = self.update(data)
        _, _, slots = self._drawn
        if key not in self._renderers:
            simplified = self._coarse_model(size[0]) if coarse else None
            self._renderers[key] = Renderer(model, *size, simplified)
        elif self._versions[key] != self._version:
            self._renderers[key].upload_meshes(slots.meshes)
        self._versions[key] = self._version
        return self._renderers[key].render(drawn, mjcf_name(camera))

    def update(self, data: mujoco.MjData) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Returns the drawn model and its data, with the present positions and objects.

        Every call returns the same two objects.
        """
        model, drawn, slots = self._drawn
        if self._version != self._slots.version and self._slots.ids:
            slots.write(self._slots.ids, self._slots.scales)
            self._version = self._slots.version
        drawn.qpos[:] = data.qpos
        mujoco.mj_kinematics(model, drawn)
        mujoco.mj_comPos(model, drawn)
        mujoco.mj_camlight(model, drawn)
        return model, drawn

    def close(self) -> None:
        """Frees the OpenGL contexts; the next image makes new ones."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    @functools.cached_property
    def _drawn(self) -> tuple[mujoco.MjModel, mujoco.MjData, objects.ObjectSlots]:
        """Drawn model, made at the first image."""
        model = scene_lib.build_visible()
        return model, mujoco.MjData(model), objects.ObjectSlots(model)

    def _coarse_model(self, height: int) -> mujoco.MjModel:
        whole, _, _ = self._drawn
        camera = whole.camera(mjcf_name(scene_lib.CAMERAS[0])).id
        half = np.radians(whole.cam_fovy[camera]) / 2
        pixel = 2 * _NEAREST * np.tan(half) / height  # m
        model = coarse_meshes.coarsened(whole, pixel)
        model.vis.quality.offsamples = 0
        return model
