"""CUDA libraries of the wheels in requirements-gpu.txt, loaded before TensorFlow.

TensorFlow 2.8 looks for them by name where the loader looks, and the wheels put them
into site-packages. A library that is loaded already is found by its name.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pathlib

# In this order: later ones need earlier ones.
LIBRARIES = (
    "libcudart.so.11.0",
    "libcublasLt.so.11",
    "libcublas.so.11",
    "libcufft.so.10",
    "libcurand.so.10",
    "libcusparse.so.11",
    "libcusolver.so.11",
    "libcudnn.so.8",
)
_DEVICE = pathlib.Path("/dev/nvidiactl")  # there where the driver is


def preload() -> list[str]:
    """Loads the libraries where there is a GPU that this process may use.

    Returns:
      The names of those that were loaded; none without a GPU or without the wheels.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return [] if hidden or not _DEVICE.exists() else load()


def load() -> list[str]:
    """Loads those libraries that are installed, and returns their names."""
    package = importlib.util.find_spec("nvidia")
    places = [] if package is None else package.submodule_search_locations or []
    paths = {
        path.name: path
        for place in places
        for path in pathlib.Path(place).glob("*/lib/*.so*")
    }
    loaded = [name for name in LIBRARIES if name in paths]
    for name in loaded:
        ctypes.CDLL(str(paths[name]), ctypes.RTLD_GLOBAL)
    return loaded
