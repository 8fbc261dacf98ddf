"""Reads a data set of LeRobot's layout, and writes it as RLDS."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from datasets.exchange import trajectory
from datasets.exchange.lerobot import layout, lossless_video
from datasets.rlds import errors, files


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
    if not (path / layout.INFO).is_file():
        raise ValueError(f"{path} is no data set of LeRobot's: it has no {layout.INFO}")
    info = files.read_json(path / layout.INFO)
    version = str(info.get("codebase_version"))
    if not version.startswith("v3."):
        raise ValueError(
            f"{path} is of LeRobot's layout {version}; valid: {layout.VERSION}"
        )
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
            k: f for k, f in info["features"].items() if k not in layout.DEFAULT
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
        for needed in ("action", trajectory.OBSERVATION):
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
            path = layout.DATA.format(**place)
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
            if layout.LAST + key in kept.column_names:
                last = self._decode(key, kept[layout.LAST + key], shape)
                values = np.concatenate([values, last])
            steps[name] = values
        for column in kept.column_names:
            if column.startswith(layout.METADATA):
                value = kept[column].combine_chunks()
                metadata[column.removeprefix(layout.METADATA)] = (
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
        path = self._root / layout.place(
            layout.VIDEO, chunk * layout.FILES_PER_CHUNK + file, key
        )
        if not path.is_file():
            raise ValueError(f"{path} is missing")
        count = kept["length"][0].as_py()
        return lossless_video.decode(path, start, self._fps, shape, count)

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
        return trajectory.OBSERVATION + key.removeprefix("observation."), shape
    is_scalar = list(shape) == [1] and key != "action"
    name = "reward" if key == "next.reward" else key
    return name, () if is_scalar else shape
