"""Prints the first OpenGL back end that renders here; exits with 1 if none does.

Tries the back end that MUJOCO_GL names, else EGL and OSMesa, each in a process of its
own, because PyOpenGL chooses its platform once, at import.
"""

from __future__ import annotations

import os
import subprocess
import sys

_PROBE = "import mujoco; context = mujoco.GLContext(8, 8); context.make_current()"


def renders(backend: str) -> bool:
    """Returns whether MuJoCo gets a context of `backend`: egl, osmesa or glfw."""
    environment = {**os.environ, "MUJOCO_GL": backend}
    environment.pop("PYOPENGL_PLATFORM", None)  # MuJoCo sets the variable itself
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
    """Prints the back end and returns the exit code."""
    chosen = os.environ.get("MUJOCO_GL")
    for backend in [chosen] if chosen else ["egl", "osmesa"]:
        if renders(backend):
            print(backend)
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
