"""Prints the first OpenGL back end that renders here; exit code 1 if none does.

Tries what MUJOCO_GL names, or EGL and OSMesa, each in a process of its own: PyOpenGL
chooses its platform once, when it is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys

_PROBE = "import mujoco; context = mujoco.GLContext(8, 8); context.make_current()"


def renders(backend: str) -> bool:
    """Whether MuJoCo gets a context from `backend` ("egl", "osmesa" or "glfw")."""
    environment = {**os.environ, "MUJOCO_GL": backend}
    environment.pop("PYOPENGL_PLATFORM", None)  # MuJoCo sets it to match
    probe = subprocess.run(
        [sys.executable, "-c", _PROBE],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return probe.returncode == 0


def main() -> int:
    """Prints the back end, returns the exit code."""
    chosen = os.environ.get("MUJOCO_GL")
    for backend in [chosen] if chosen else ["egl", "osmesa"]:
        if renders(backend):
            print(backend)
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
