"""Offscreen rendering that only asks for OpenGL when the first image is wanted.

`import mujoco` loads an OpenGL library unless MUJOCO_GL forbids it, so a machine with
none could not even simulate. Here MuJoCo and dm_control are imported with rendering
off, and a context is made by hand when a camera is first read. MUJOCO_GL (egl or
osmesa) chooses the library; with neither set, EGL is tried first, then OSMesa.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator

import numpy as np

_OFF = "disable"
BACKENDS = ("egl", "osmesa")


@contextlib.contextmanager
def _without_gl() -> Iterator[None]:
    wanted = os.environ.get("MUJOCO_GL")
    os.environ["MUJOCO_GL"] = _OFF
    try:
        yield
    finally:
        if wanted is None:
            del os.environ["MUJOCO_GL"]
        else:
            os.environ["MUJOCO_GL"] = wanted


with _without_gl():
    import mujoco
    from dm_control import _render as _dm_control_render  # noqa: F401


class RenderingUnavailable(RuntimeError):
    """No OpenGL library could be loaded."""


def _load_context_class() -> type:
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    if wanted and wanted not in BACKENDS:
        raise RenderingUnavailable(
            f"MUJOCO_GL={wanted} cannot render here; valid: {', '.join(BACKENDS)}"
        )
    problems = []
    for backend in (wanted,) if wanted else BACKENDS:
        try:
            module = importlib.import_module(f"mujoco.{backend}")
            # MuJoCo reads it again when it looks for the OpenGL functions.
            os.environ["MUJOCO_GL"] = backend
            return module.GLContext
        except Exception as e:  # PyOpenGL raises many kinds where a library lacks.
            os.environ.pop("PYOPENGL_PLATFORM", None)
            problems.append(f"{backend}: {' '.join(str(e).split())[:80]}")
    raise RenderingUnavailable(
        "rendering needs libEGL or libOSMesa (Debian: libegl1 libgl1, or libosmesa6); "
        + "; ".join(problems)
    )


class Renderer:
    """Draws one model from its cameras; one context and one size an instance."""

    def __init__(self, model: mujoco.MjModel, height: int, width: int) -> None:
        """Makes an OpenGL context. Raises RenderingUnavailable where there is none."""
        self._context = _load_context_class()(width, height)
        self._context.make_current()
        model.vis.global_.offwidth = max(width, model.vis.global_.offwidth)
        model.vis.global_.offheight = max(height, model.vis.global_.offheight)
        self._model = model
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        # Shadows and reflections triple the cost in software and carry no state.
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._option = mujoco.MjvOption()
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._mjr = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._mjr)
        self._pixels = np.empty((height, width, 3), np.uint8)

    def render(self, data: mujoco.MjData, camera: str) -> np.ndarray:
        """Returns the view of a named camera, uint8 [H, W, 3]."""
        self._context.make_current()
        view = mujoco.MjvCamera()
        view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        view.fixedcamid = self._model.camera(camera).id
        mujoco.mjv_updateScene(
            self._model,
            data,
            self._option,
            None,
            view,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        mujoco.mjr_render(self._rect, self._scene, self._mjr)
        mujoco.mjr_readPixels(self._pixels, None, self._rect, self._mjr)
        return np.flipud(self._pixels).copy()

    def close(self) -> None:
        """Frees the context."""
        self._mjr.free()
        self._context.free()
