"""Lossless videos of an episode's images."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Sequence

import imageio_ffmpeg
import numpy as np


def encode(path: pathlib.Path, images: np.ndarray, fps: float) -> None:
    """Writes [T, H, W, 3] so that each pixel comes back as it is."""
    writer = imageio_ffmpeg.write_frames(
        str(path),
        (images.shape[2], images.shape[1]),
        fps=fps,
        codec="libx264rgb",
        pix_fmt_out="rgb24",
        quality=None,
        output_params=["-crf", "0", "-g", "10"],
        macro_block_size=1,
    )
    writer.send(None)
    for image in images:
        writer.send(np.ascontiguousarray(image))
    writer.close()


def decode(
    path: pathlib.Path, start: float, fps: float, shape: Sequence[int], count: int
) -> np.ndarray:
    """Reads [count, H, W, 3] from a time in seconds on."""
    begin = max(start - 0.5 / fps, 0.0)  # between two frames
    frames = imageio_ffmpeg.read_frames(str(path), input_params=["-ss", f"{begin:.6f}"])
    next(frames)  # a description
    read = [np.frombuffer(f, np.uint8) for f in itertools.islice(frames, count)]
    frames.close()
    if len(read) != count:
        raise ValueError(
            f"{path} has {len(read)} frames from {start} s; needed {count}"
        )
    return np.stack(read).reshape(count, *shape)
