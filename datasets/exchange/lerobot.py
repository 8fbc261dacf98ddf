"""Data sets in LeRobot's layout, version 3.0, out and in.

`data/` has a row per step that has an action, `meta/episodes/` one per episode,
`meta/info.json` the features. A name of RLDS becomes one of LeRobot, with dots
(`observation/wrist/angle`: `observation.wrist.angle`), and an array is flattened. What
the layout has no place for lies in columns of `meta/episodes/`: `rlds/last/NAME`, the
values of the last step, and `rlds/metadata/NAME`; and in `rlds` of `info.json`: names
and shapes of RLDS, and what is of no single episode. Images are PNG in `data/`, or
lossless H.264, a file per episode, in `videos/`. T is the number of control steps.
https://huggingface.co/docs/lerobot/lerobot-dataset-v3
"""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import imageio_ffmpeg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from datasets.exchange import trajectory
from datasets.rlds import errors, files, running_statistics
from environments import scene

VERSION = "v3.0"
_INFO = "meta/info.json"
_STATS = "meta/stats.json"
_TASKS = "meta/tasks.parquet"
_FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_DATA, _EPISODES = f"data/{_FILE}", f"meta/episodes/{_FILE}"
_VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_FILES_PER_CHUNK = 1000
_FILE_MB = 100
_DEFAULT = {  # columns of every data set
    "timestamp": np.float32,
    "frame_index": np.int64,
    "episode_index": np.int64,
    "index": np.int64,
    "task_index": np.int64,
}
_LAST, _METADATA = "rlds/last/", "rlds/metadata/"
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_OBSERVATION = trajectory.OBSERVATION


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
        self._columns: dict[str, _Column] = {}
        self._statistics: dict[str, running_statistics.RunningStatistics] = {}
        self._tasks: dict[str, int] = {}
        self._episodes: list[dict[str, pa.Array]] = []
        self._frames = self._file = self._bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, episode: trajectory.Trajectory) -> None:
        steps = episode.steps
        if not self._columns:
            self._columns = _columns(steps, self._video)
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
            for name, dtype in _DEFAULT.items()
        }
        row = {
            "episode_index": pa.array([index]),
            "tasks": pa.array([[task]]),
            "length": pa.array([count]),
            "data/chunk_index": pa.array([self._file // _FILES_PER_CHUNK]),
            "data/file_index": pa.array([self._file % _FILES_PER_CHUNK]),
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
            row[_LAST + key] = column.encode(whole[-1:])
            self._count(key, column, whole[:-1])
        for name, value in episode.metadata.items():
            row[_METADATA + name] = pa.array([value])
        self._write(pa.table(table))
        self._frames += count
        self._episodes.append(row)

    def _count(self, key: str, column: _Column, values: np.ndarray) -> None:
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
        path = self._root / _place(_VIDEO, index, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        _encode_video(path, images, self._fps)
        columns = {
            "chunk_index": index // _FILES_PER_CHUNK,
            "file_index": index % _FILES_PER_CHUNK,
            "from_timestamp": 0.0,
            "to_timestamp": len(images) / self._fps,
        }
        return {f"videos/{key}/{k}": pa.array([v]) for k, v in columns.items()}

    def _write(self, table: pa.Table) -> None:
        if self._writer is None:
            path = self._root / _place(_DATA, self._file)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, table.schema)
        self._writer.write_table(table)
        self._bytes += table.nbytes
        if self._bytes > _FILE_MB * 1e6:
            self._close()
            self._file, self._bytes = self._file + 1, 0

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def finish(self, origin: Mapping[str, Any]) -> None:
        """Writes what is of all episodes."""
        self._close()
        path = self._root / _place(_EPISODES, 0)
        path.parent.mkdir(parents=True)
        pq.write_table(pa.concat_tables(map(pa.table, self._episodes)), path)
        pq.write_table(_tasks_table(self._tasks), self._root / _TASKS)
        features = {
            name: {"dtype": np.dtype(dtype).name, "shape": [1], "names": None}
            for name, dtype in _DEFAULT.items()
        }
        columns = self._columns.items()
        info = {
            "codebase_version": VERSION,
            "robot_type": "sawyer" if "settings" in origin["manifest"] else None,
            "total_episodes": len(self._episodes),
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": _FILES_PER_CHUNK,
            "data_files_size_in_mb": _FILE_MB,
            "video_files_size_in_mb": _FILE_MB,
            "fps": self._fps,
            "splits": {"train": f"0:{len(self._episodes)}"},
            "data_path": _DATA,
            "video_path": _VIDEO if any(c.is_video for _, c in columns) else None,
            "features": {k: c.feature(self._fps) for k, c in columns} | features,
            "rlds": {
                **origin,
                "columns": {k: [c.name, list(c.shape)] for k, c in columns},
            },
        }
        files.write_json(self._root / _INFO, info)
        statistics = {key: self._summary(key) for key in self._statistics}
        files.write_json(self._root / _STATS, statistics)

    def _summary(self, key: str) -> dict[str, Any]:
        found, is_image = self._statistics[key], self._columns[key].is_image
        shape = (-1, 1, 1) if is_image else (-1,)
        summary = {
            name: np.nan_to_num(getattr(found, name)).reshape(shape).tolist()
            for name in ("min", "max", "mean", "std")
        }
        return summary | {"count": [int(found.count.max())]}


class _Column:
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


def _encode_video(path: pathlib.Path, images: np.ndarray, fps: float) -> None:
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


def _decode_video(
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


def _columns(steps: Mapping[str, np.ndarray], video: bool) -> dict[str, _Column]:
    columns: dict[str, _Column] = {}
    for name, values in steps.items():
        column = _Column(name, values, video)
        key = name.replace("/", ".")
        if key == "reward":
            key = "next.reward"
        elif key in (*_DEFAULT, "task"):
            key = f"rlds.{key}"
        elif column.is_image and name.startswith(_OBSERVATION):
            key = key.replace("observation.", "observation.images.", 1)
        if key in columns:
            raise ValueError(f"{columns[key].name} and {name} would both be {key}")
        columns[key] = column
    return columns


def _place(pattern: str, number: int, key: str = "") -> str:
    chunk, file = divmod(number, _FILES_PER_CHUNK)
    return pattern.format(chunk_index=chunk, file_index=file, video_key=key)


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


def import_data(
    path: pathlib.Path, out: pathlib.Path, progress: bool = True
) -> dict[str, Any]:
    """Writes a data set of LeRobot's layout, version 3.0, as RLDS.

    Of a data set that `export` did not write, the last frame becomes the last step, of
    which learners read the observation alone.

    Args:
      path: directory of the data set.
      out: directory to make.
      progress: whether to show a bar on standard error.

    Returns:
      The manifest.

    Raises:
      ValueError: in one line, why it cannot be imported; nothing is written.
    """
    trajectory.check_out(out)
    if not (path / _INFO).is_file():
        raise ValueError(f"{path} is no data set of LeRobot's: it has no {_INFO}")
    info = files.read_json(path / _INFO)
    version = str(info.get("codebase_version"))
    if not version.startswith("v3."):
        raise ValueError(f"{path} is of LeRobot's layout {version}; valid: {VERSION}")
    try:
        source = _Import(path, info)
        manifest = trajectory.imported("lerobot", path, source.origin)
        manifest["fps"] = info.get("fps")
        with trajectory.bar(len(source.rows), progress) as bar:
            return trajectory.write(
                out,
                source.episodes(bar),
                manifest,
                source.origin.get("name", "lerobot"),
                source.origin.get("description", f"Imported from {path.name}."),
            )
    except (pa.ArrowException, OSError, LookupError, TypeError, AttributeError) as e:
        raise ValueError(f"{path} cannot be read: {errors.named(e)}") from e


class _Import:
    """Data set of LeRobot's on disk.

    Attributes:
      rows: rows of `meta/episodes/`, in order.
      origin: what `trajectory.origin` kept; empty of a foreign data set.
    """

    def __init__(self, root: pathlib.Path, info: Mapping[str, Any]) -> None:
        self._root = root
        self._features = {
            k: f for k, f in info["features"].items() if k not in _DEFAULT
        }
        for key in self._features:
            if "/" in key:  # LeRobot refuses it, too; a video's path has it.
                raise ValueError(f"{root} has the feature {key}; valid: no slashes")
        self.origin = info.get("rlds", {})
        known = self.origin.get("columns", {})
        self._names = {
            key: known.get(key) or _rlds_name(key, self._features[key]["shape"])
            for key in self._features
        }
        for needed in ("action", _OBSERVATION):
            if not any(name.startswith(needed) for name, _ in self._names.values()):
                raise ValueError(f"{root} has no {needed.rstrip('/')} in its features")
        self._fps = float(info["fps"])
        tables = [pq.read_table(f) for f in sorted(root.glob("meta/episodes/*/*"))]
        table = pa.concat_tables(tables, promote_options="default")
        self._episodes = table.sort_by("episode_index")
        self.rows = self._episodes.select(
            ["episode_index", "tasks", "length", "data/chunk_index", "data/file_index"]
        ).to_pylist()
        self._path, self._table = "", pa.table({})

    def episodes(self, bar: Any) -> Iterator[trajectory.Trajectory]:
        for number, row in enumerate(self.rows):
            place = {k: row[f"data/{k}"] for k in ("chunk_index", "file_index")}
            path = _DATA.format(**place)
            if path != self._path:
                self._path, self._table = path, pq.read_table(self._root / path)
            chosen = pc.equal(self._table["episode_index"], row["episode_index"])
            table = self._table.filter(chosen)
            if table.num_rows != row["length"]:
                raise ValueError(
                    f"{self._root / path} has {table.num_rows} frames of episode "
                    f"{row['episode_index']}, of {row['length']}"
                )
            yield self._episode(table, self._episodes.slice(number, 1), row)
            bar.update()

    def _episode(
        self, table: pa.Table, kept: pa.Table, row: Mapping[str, Any]
    ) -> trajectory.Trajectory:
        steps, metadata = {}, {}
        for key, (name, shape) in self._names.items():
            if self._features[key]["dtype"] == "video":
                values = self._decode_video(key, kept, shape)
            else:
                values = self._decode(key, table[key], shape)
            if _LAST + key in kept.column_names:
                last = self._decode(key, kept[_LAST + key], shape)
                values = np.concatenate([values, last])
            steps[name] = values
        for column in kept.column_names:
            if column.startswith(_METADATA):
                value = kept[column].combine_chunks()
                metadata[column.removeprefix(_METADATA)] = (
                    value[0].as_py()
                    if pa.types.is_string(value.type)
                    else value.to_numpy(zero_copy_only=False)[0]
                )
        if "columns" not in self.origin:
            flags = trajectory.standard_steps(len(steps["action"]), False)
            steps = flags | steps
            metadata = {
                "episode_index": np.int64(row["episode_index"]),
                "task": ", ".join(row["tasks"] or ()),
            }
            if "next.success" in steps:
                metadata["success"] = np.bool_(steps["next.success"][-1])
        return trajectory.Trajectory(steps, metadata)

    def _decode_video(
        self, key: str, kept: pa.Table, shape: Sequence[int]
    ) -> np.ndarray:
        names = ("chunk_index", "file_index", "from_timestamp")
        chunk, file, start = (kept[f"videos/{key}/{n}"][0].as_py() for n in names)
        path = self._root / _place(_VIDEO, chunk * _FILES_PER_CHUNK + file, key)
        if not path.is_file():
            raise ValueError(f"{path} is missing")
        count = kept["length"][0].as_py()
        return _decode_video(path, start, self._fps, shape, count)

    def _decode(
        self, key: str, column: pa.ChunkedArray, shape: Sequence[int]
    ) -> np.ndarray:
        kind = self._features[key]["dtype"]
        if kind in ("image", "video"):
            images = [Image.open(io.BytesIO(v["bytes"])) for v in column.to_pylist()]
            arrays = [np.asarray(image, np.uint8).reshape(shape) for image in images]
            return np.stack(arrays) if arrays else np.zeros((0, *shape), np.uint8)
        if kind == "string":
            return np.array([str(text) for text in column.to_pylist()], object)
        values = column.combine_chunks()
        while pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
            values = values.flatten()
        flat = values.to_numpy(zero_copy_only=False).astype(np.dtype(kind))
        return flat.reshape(len(column), *shape)


def _rlds_name(key: str, shape: Sequence[int]) -> tuple[str, Sequence[int]]:
    """Returns name and shape in RLDS of a column of a foreign data set."""
    if key.startswith("observation."):
        return _OBSERVATION + key.removeprefix("observation."), shape
    is_scalar = list(shape) == [1] and key != "action"
    name = "reward" if key == "next.reward" else key
    return name, () if is_scalar else shape
