"""Columns of LeRobot's layout that hold arrays of RLDS."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from datasets.exchange import trajectory
from datasets.exchange.lerobot import layout

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


class Column:
    """Column of an array of RLDS, whose rows are flat."""

    def __init__(self, name: str, values: np.ndarray, video: bool) -> None:
        self.name = name
        self.shape = values.shape[1:]
        self.is_image = values.dtype == np.uint8 and len(self.shape) == 3
        self._dtype = values.dtype
        self.is_video = video and self.is_image and self.shape[-1] == 3

    def feature(self, fps: float) -> dict[str, Any]:
        """Returns the description of the column in `info.json`."""
        if not self.is_image:
            kind = "string" if self._dtype.kind == "O" else self._dtype.name
            return {"dtype": kind, "shape": [math.prod(self.shape)], "names": None}
        feature: dict[str, Any] = {
            "dtype": "video" if self.is_video else "image",
            "shape": list(self.shape),
            "names": ["height", "width", "channels"],
        }
        if self.is_video:
            feature["info"] = {
                "video.height": self.shape[0],
                "video.width": self.shape[1],
                "video.channels": self.shape[2],
                "video.codec": "h264",
                "video.pix_fmt": "gbrp",
                "video.is_depth_map": False,
                "video.fps": fps,
                "has_audio": False,
            }
        return feature

    def encode(self, values: np.ndarray) -> pa.Array:
        """Returns a row per step; raises ValueError for other arrays than the first."""
        if values.shape[1:] != self.shape or values.dtype != self._dtype:
            raise ValueError(
                f"{self.name} is {values.dtype} {list(values.shape[1:])}, in the first "
                f"episode {self._dtype} {list(self.shape)}"
            )
        if self.is_image:
            rows = [{"bytes": _png(image), "path": None} for image in values]
            return pa.array(rows, _IMAGE)
        if values.dtype == object:
            return pa.array(values.tolist(), pa.string())
        flat = pa.array(values.ravel())
        size = math.prod(self.shape)
        return flat if size == 1 else pa.FixedSizeListArray.from_arrays(flat, size)


def _png(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(
        content, "PNG"
    )
    return content.getvalue()


def columns_of(steps: Mapping[str, np.ndarray], video: bool) -> dict[str, Column]:
    """Returns the columns of an episode by their names in LeRobot's layout.

    Args:
      steps: arrays [T+1, ...] by their names in RLDS.
      video: whether images of three channels become videos.

    Raises:
      ValueError: two arrays would have one name.
    """
    columns: dict[str, Column] = {}
    for name, values in steps.items():
        column = Column(name, values, video)
        key = name.replace("/", ".")
        if key == "reward":
            key = "next.reward"
        elif key in (*layout.DEFAULT, "task"):
            key = f"rlds.{key}"
        elif column.is_image and name.startswith(trajectory.OBSERVATION):
            key = key.replace("observation.", "observation.images.", 1)
        if key in columns:
            raise ValueError(f"{columns[key].name} and {name} would both be {key}")
        columns[key] = column
    return columns
