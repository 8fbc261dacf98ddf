"""Offscreen rendering that loads OpenGL only for the first image.

`import mujoco` loads an OpenGL library unless MUJOCO_GL forbids it, so a machine
without one could not even simulate. This module imports MuJoCo and dm_control with
rendering off, and makes a context by itself when a camera is first read. MUJOCO_GL (egl
or osmesa) selects the library; if it is not set, EGL is tried first, then OSMesa.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import importlib
import os
import sys
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

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
    """Error that no OpenGL library can be loaded or used in this process."""


def _never_collected(context_class: type) -> type:
    """Returns the class without its finaliser, which runs after the end of EGL."""
    return type("Context", (context_class,), {"__del__": lambda self: None})


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
            # MuJoCo reads the variable again when it looks for the OpenGL functions.
            os.environ["MUJOCO_GL"] = backend
            return _never_collected(module.GLContext)
        except Exception as e:  # PyOpenGL raises many types
            os.environ.pop("PYOPENGL_PLATFORM", None)
            problems.append(f"{backend}: {' '.join(str(e).split())[:80]}")
    raise RenderingUnavailable(
        "rendering needs libEGL or libOSMesa (Debian: libegl1 libgl1, or libosmesa6); "
        + "; ".join(problems)
    )


@contextlib.contextmanager
def _current(context: Any) -> Iterator[None]:
    """Makes a context current in this thread, and releases it afterwards.

    A thread that ends with an EGL context keeps all other threads from it for good.
    """
    context.make_current()
    try:
        yield
    finally:
        if os.environ["MUJOCO_GL"] == "egl":
            from mujoco import egl

            nothing = egl.EGL.EGL_NO_SURFACE, egl.EGL.EGL_NO_SURFACE
            egl.EGL.eglMakeCurrent(egl.EGL_DISPLAY, *nothing, egl.EGL.EGL_NO_CONTEXT)


class _Handle(NamedTuple):
    """OpenGL objects of a renderer, and a reference to the renderer."""

    context: Any
    mjr: mujoco.MjrContext
    owner: weakref.ref[Renderer]

    def free(self) -> None:
        with _current(self.context):
            self.mjr.free()
        self.context.free()


_forked = False  # whether this process is a fork of one that had loaded OpenGL


def _note_fork() -> None:
    """Gives up the parent's OpenGL objects, any use of which waits for ever."""
    global _forked
    if _forked or "OpenGL" in sys.modules:
        _forked = True
        _handles.clear()


os.register_at_fork(after_in_child=_note_fork)


def _check_process() -> None:
    """Raises RenderingUnavailable in a process that OpenGL would block."""
    if _forked:
        raise RenderingUnavailable(
            "this process cannot render, because it was forked after its parent had "
            'loaded OpenGL: start it by "spawn", as in '
            'gymnasium.vector.AsyncVectorEnv(..., context="spawn")'
        )


# Python's garbage collector must free none of these: it may run while another context
# is current, and at exit it runs after the OpenGL library has ended.
_handles: list[_Handle] = []


def _free_unowned() -> None:
    for handle in [h for h in _handles if h.owner() is None]:
        _handles.remove(handle)
        handle.free()


def _free_all() -> None:
    while _handles:
        with contextlib.suppress(Exception):  # a thread may still draw to it
            _handles.pop().free()


class Renderer:
    """Renderer of one model from its cameras, with one context and one size."""

    def __init__(
        self,
        model: mujoco.MjModel,
        height: int,
        width: int,
        drawn: mujoco.MjModel | None = None,
    ) -> None:
        """Makes an OpenGL context.

        Args:
          model: simulated model; it does not change.
          height, width: size of the images.
          drawn: copy of the model with the meshes and visual settings to draw instead;
            the renderer takes it over.

        Raises:
          RenderingUnavailable: no OpenGL library can be loaded, or the process was
            forked from one that had loaded it.
        """
        _check_process()
        drawn = copy.copy(model) if drawn is None else drawn
        drawn.vis.global_.offwidth, drawn.vis.global_.offheight = width, height
        self._model = model
        self._aspect = width / height
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        # Shadows and reflections triple the cost in software and carry no state.
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._option = mujoco.MjvOption()
        self._option.sitegroup[:] = 0  # Draws geoms only.
        self._view = mujoco.MjvCamera()
        self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._pixels = np.empty((height, width, 3), np.uint8)
        _free_unowned()
        context_class = _load_context_class()
        atexit.unregister(_free_all)  # Functions registered last run first.
        atexit.register(_free_all)
        self._context = context_class(width, height)
        with _current(self._context):
            self._mjr = mujoco.MjrContext(drawn, mujoco.mjtFontScale.mjFONTSCALE_100)
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._mjr)
        self._handle = _Handle(self._context, self._mjr, weakref.ref(self))
        _handles.append(self._handle)

    def render(self, data: mujoco.MjData, camera: str) -> np.ndarray:
        """Returns the view of a named camera, a new array, uint8 [H, W, 3].

        Raises:
          RenderingUnavailable: the process was forked from one that had loaded OpenGL.
        """
        _check_process()
        self._view.fixedcamid = self._model.camera(camera).id
        mujoco.mjv_updateScene(
            self._model,
            data,
            self._option,
            None,
            self._view,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        self._drop_unseen(data)
        with _current(self._context):
            mujoco.mjr_render(self._rect, self._scene, self._mjr)
            mujoco.mjr_readPixels(self._pixels, None, self._rect, self._mjr)
        return self._pixels[::-1].copy()  # The first row of OpenGL is the lowest.

    def upload_meshes(self, meshes: Iterable[int]) -> None:
        """Uploads meshes again, after the model has changed."""
        _check_process()
        with _current(self._context):
            for mesh in meshes:
                mujoco.mjr_uploadMesh(self._model, self._mjr, int(mesh))

    def close(self) -> None:
        """Frees the context; a second call does nothing."""
        if self._handle in _handles:
            _handles.remove(self._handle)
            self._handle.free()

    def _drop_unseen(self, data: mujoco.MjData) -> None:
        """Removes meshes outside the camera's view from the scene.

        A mesh is outside if its bounding sphere lies behind one of the view's four
        sides or the camera. MuJoCo passes every face to OpenGL, seen or not.
        """
        model, camera = self._model, self._view.fixedcamid
        relative = data.geom_xpos - data.cam_xpos[camera]
        right, up, back = (relative @ data.cam_xmat[camera].reshape(3, 3)).T
        half = np.radians(model.cam_fovy[camera]) / 2
        wide = np.arctan(np.tan(half) * self._aspect)
        beyond = np.maximum.reduce(
            [
                np.abs(right) * np.cos(wide) + back * np.sin(wide),
                np.abs(up) * np.cos(half) + back * np.sin(half),
                back,
            ]
        )
        unseen = (beyond > model.geom_rbound) & (model.geom_rbound > 0)  # 0: no bound
        unseen = unseen.tolist()
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if unseen[geom.objid]:
                geom.dataid = -1  # MuJoCo's value for no mesh
