"""Privileged state of the simulation, without noise, for the scripted expert."""

from __future__ import annotations

import numpy as np

from datasets.experts.scripted.geometry import Placed, read_solid
from environments import stacking

_WRIST_JOINT = 6


class PrivilegedState:
    """State of an `RgbStacking` environment (unwrapped), as of the last `look`.

    Attributes:
      pinch: [3] m, the tool's centre point.
      closing: [2] unit, the horizontal direction along which the fingers close.
      wrist: rad, the last arm joint.
      finger: 0 (open) to 255 (closed) tics.
      grasp: the grasp flag.
      placed: the red, green and blue objects.
      climbing: [3] m/s, upward speed of each object.
    """

    def __init__(self, environment: stacking.RgbStacking) -> None:
        self._environment = environment
        self._model, self._data = environment.physics
        self._scene = environment.scene
        self.read_objects()

    def read_objects(self) -> None:
        """Reads the shapes of this episode's objects."""
        self._solids = [read_solid(self._model, g) for g in self._scene.object_geom]

    def look(self) -> None:
        """Reads the current state."""
        data, scene = self._data, self._scene
        self.pinch = data.site_xpos[scene.pinch_site].copy()
        y_axis = data.site_xmat[scene.pinch_site].reshape(3, 3)[:2, 1]
        self.closing: np.ndarray = y_axis / np.linalg.norm(y_axis)
        self.wrist = float(data.qpos[_WRIST_JOINT])
        state = self._environment.state()
        self.finger, self.grasp = state.finger, state.grasp
        self.climbing = data.qvel[scene.object_dof + 2]
        self.placed = [
            Placed(
                solid,
                data.qpos[address : address + 3].copy(),
                data.geom_xpos[geom].copy(),
                data.geom_xmat[geom].reshape(3, 3).copy(),
            )
            for solid, address, geom in zip(
                self._solids, scene.object_qpos, scene.object_geom, strict=True
            )
        ]
