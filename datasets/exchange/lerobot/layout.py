"""Places and names of LeRobot's layout, version 3.0."""

from __future__ import annotations

import numpy as np

VERSION = "v3.0"
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
_FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA, EPISODES = f"data/{_FILE}", f"meta/episodes/{_FILE}"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FILES_PER_CHUNK = 1000
FILE_MB = 100
DEFAULT = {  # columns of every data set
    "timestamp": np.float32,
    "frame_index": np.int64,
    "episode_index": np.int64,
    "index": np.int64,
    "task_index": np.int64,
}
LAST, METADATA = "rlds/last/", "rlds/metadata/"


def place(pattern: str, number: int, key: str = "") -> str:
    """Returns the path of a file, by a pattern and its number among its kind."""
    chunk, file = divmod(number, FILES_PER_CHUNK)
    return pattern.format(chunk_index=chunk, file_index=file, video_key=key)
