"""Writes a data set in LeRobot's layout."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datasets.exchange import trajectory
from datasets.exchange.lerobot import layout, lossless_video
from datasets.exchange.lerobot.columns import Column, columns_of
from datasets.rlds import files, running_statistics
from environments import scene


def export(
    directory: str | os.PathLike[str],
    out: pathlib.Path,
    progress: bool = True,
    fps: float = 1 / scene.CONTROL_TIMESTEP,
    video: bool = False,
) -> int:
    """Writes a data set in LeRobot's layout.

    Args:
      directory: the data set.
      out: directory to make.
      progress: whether to show a bar on standard error.
      fps: control steps per second.
      video: whether images of three channels become lossless videos, not PNG.

    Returns:
      The number of episodes.

    Raises:
      ValueError: in one line, why it cannot be exported; nothing is written.
    """
    trajectory.check_out(out)
    source = trajectory.open_dataset(directory)
    with (
        files.new_directory(out) as aside,
        trajectory.bar(source.num_episodes, progress) as bar,
    ):
        data = _Export(aside, fps, video)
        for episode in trajectory.read(source):
            data.add(episode)
            bar.update()
        data.finish(trajectory.origin(source))
    return source.num_episodes


class _Export:
    """Files of a data set that is being written."""

    def __init__(self, root: pathlib.Path, fps: float, video: bool) -> None:
        self._root = root
        self._video = video
        self._fps = int(fps) if float(fps).is_integer() else fps
        self._columns: dict[str, Column] = {}
        self._statistics: dict[str, running_statistics.RunningStatistics] = {}
        self._tasks: dict[str, int] = {}
        self._episodes: list[dict[str, pa.Array]] = []
        self._frames = self._file = self._bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, episode: trajectory.Trajectory) -> None:
        steps = episode.steps
        if not self._columns:
            self._columns = columns_of(steps, self._video)
        count = max(len(steps["action"]) - 1, 0)
        index = len(self._episodes)
        task = episode.metadata.get("task")
        task = task if isinstance(task, str) and task else "unknown"
        number = self._tasks.setdefault(task, len(self._tasks))
        frames = np.arange(count)
        values: dict[str, np.ndarray] = {
            "timestamp": frames / self._fps,
            "frame_index": frames,
            "episode_index": np.full(count, index),
            "index": self._frames + frames,
            "task_index": np.full(count, number),
        }
        table = {
            name: pa.array(values[name].astype(dtype))
            for name, dtype in layout.DEFAULT.items()
        }
        row = {
            "episode_index": pa.array([index]),
            "tasks": pa.array([[task]]),
            "length": pa.array([count]),
            "data/chunk_index": pa.array([self._file // layout.FILES_PER_CHUNK]),
            "data/file_index": pa.array([self._file % layout.FILES_PER_CHUNK]),
            "dataset_from_index": pa.array([self._frames]),
            "dataset_to_index": pa.array([self._frames + count]),
            "meta/episodes/chunk_index": pa.array([0]),
            "meta/episodes/file_index": pa.array([0]),
        }
        for key, column in self._columns.items():
            whole = steps[column.name]
            if column.is_video:
                row |= self._write_video(key, index, whole[:-1])
            else:
                table[key] = column.encode(whole[:-1])
            row[layout.LAST + key] = column.encode(whole[-1:])
            self._count(key, column, whole[:-1])
        for name, value in episode.metadata.items():
            row[layout.METADATA + name] = pa.array([value])
        self._write(pa.table(table))
        self._frames += count
        self._episodes.append(row)

    def _count(self, key: str, column: Column, values: np.ndarray) -> None:
        if values.dtype == object or not len(values):
            return
        # Of images, LeRobot has a mean per channel, of values from 0 to 1.
        flat = values.reshape(-1, column.shape[-1]) if column.is_image else values
        flat = flat.reshape(len(flat), -1).astype(np.float64)
        if key not in self._statistics:
            size = flat.shape[1]
            self._statistics[key] = running_statistics.RunningStatistics(size)
        self._statistics[key].update(flat / 255 if column.is_image else flat)

    def _write_video(
        self, key: str, index: int, images: np.ndarray
    ) -> dict[str, pa.Array]:
        """Writes the video of an episode and returns its columns of the episode."""
        path = self._root / layout.place(layout.VIDEO, index, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        lossless_video.encode(path, images, self._fps)
        columns = {
            "chunk_index": index // layout.FILES_PER_CHUNK,
            "file_index": index % layout.FILES_PER_CHUNK,
            "from_timestamp": 0.0,
            "to_timestamp": len(images) / self._fps,
        }
        return {f"videos/{key}/{k}": pa.array([v]) for k, v in columns.items()}

    def _write(self, table: pa.Table) -> None:
        if self._writer is None:
            path = self._root / layout.place(layout.DATA, self._file)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, table.schema)
        self._writer.write_table(table)
        self._bytes += table.nbytes
        if self._bytes > layout.FILE_MB * 1e6:
            self._close()
            self._file, self._bytes = self._file + 1, 0

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def finish(self, origin: Mapping[str, Any]) -> None:
        """Writes what is of all episodes."""
        self._close()
        path = self._root / layout.place(layout.EPISODES, 0)
        path.parent.mkdir(parents=True)
        pq.write_table(pa.concat_tables(map(pa.table, self._episodes)), path)
        pq.write_table(_tasks_table(self._tasks), self._root / layout.TASKS)
        features = {
            name: {"dtype": np.dtype(dtype).name, "shape": [1], "names": None}
            for name, dtype in layout.DEFAULT.items()
        }
        columns = self._columns.items()
        info = {
            "codebase_version": layout.VERSION,
            "robot_type": "sawyer" if "settings" in origin["manifest"] else None,
            "total_episodes": len(self._episodes),
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": layout.FILES_PER_CHUNK,
            "data_files_size_in_mb": layout.FILE_MB,
            "video_files_size_in_mb": layout.FILE_MB,
            "fps": self._fps,
            "splits": {"train": f"0:{len(self._episodes)}"},
            "data_path": layout.DATA,
            "video_path": layout.VIDEO if any(c.is_video for _, c in columns) else None,
            "features": {k: c.feature(self._fps) for k, c in columns} | features,
            "rlds": {
                **origin,
                "columns": {k: [c.name, list(c.shape)] for k, c in columns},
            },
        }
        files.write_json(self._root / layout.INFO, info)
        statistics = {key: self._summary(key) for key in self._statistics}
        files.write_json(self._root / layout.STATS, statistics)

    def _summary(self, key: str) -> dict[str, Any]:
        found, is_image = self._statistics[key], self._columns[key].is_image
        shape = (-1, 1, 1) if is_image else (-1,)
        summary = {
            name: np.nan_to_num(getattr(found, name)).reshape(shape).tolist()
            for name in ("min", "max", "mean", "std")
        }
        return summary | {"count": [int(found.count.max())]}


def _tasks_table(tasks: Mapping[str, int]) -> pa.Table:
    """Returns the table of the tasks as pandas writes it, with the texts as index."""
    index = "__index_level_0__"
    table = pa.table({"task_index": list(tasks.values()), index: list(tasks)})
    kinds = {"task_index": ("int64", "int64"), index: ("unicode", "object")}
    described = {
        "index_columns": [index],
        "column_indexes": [],
        "columns": [
            {
                "name": None if name == index else name,
                "field_name": name,
                "pandas_type": kind,
                "numpy_type": stored,
                "metadata": None,
            }
            for name, (kind, stored) in kinds.items()
        ],
        "pandas_version": "2.0.0",
    }
    return table.replace_schema_metadata({"pandas": json.dumps(described)})
