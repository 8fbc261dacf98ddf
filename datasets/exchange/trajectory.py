"""Episodes as plain arrays, between a data set and another library's format.

T is the number of control steps. A data set of TFDS holds numbers as float32 or int64;
what needs more, float64, it holds twice: as float32 by its name, for learners, and
exactly by `exact/NAME`. `read` returns the exact one.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
import tqdm

from datasets.rlds import errors, files, new_dataset, reader, writer

OBSERVATION = "observation/"
_EXACT = "exact/"
_CHANNELS = (1, 3, 4)


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """Episode of T control steps.

    Attributes:
      steps: arrays [T+1, ...] by name, those of observations as `observation/NAME`;
        images are uint8 [T+1, H, W, C], texts [T+1] of str.
      metadata: NumPy scalars and str by name.
    """

    steps: dict[str, np.ndarray]
    metadata: dict[str, Any]


def open_dataset(directory: str | os.PathLike[str]) -> reader.Records:
    """Opens a data set to be exported.

    Raises:
      ValueError: there is none, or it has something other than arrays of numbers,
        images and texts; the message names it.
    """
    source = reader.Records(directory, ("observation", "action"))
    for name, feature in _step_features(source).items():
        stored = feature.get_serialized_info()
        plain = isinstance(stored, tfds.features.TensorInfo)
        if not plain or stored.sequence_rank or None in feature.get_tensor_info().shape:
            raise ValueError(
                f"{source.directory}: {name} is a {type(feature).__name__}; valid: "
                "arrays of fixed shape, images and texts"
            )
    return source


def _step_features(source: reader.Records) -> dict[str, Any]:
    observation = source.observation_features
    return source.step_features | {OBSERVATION + k: f for k, f in observation.items()}


def read(source: reader.Records) -> Iterator[Trajectory]:
    """Yields the episodes of a data set of `open_dataset`.

    Raises:
      ValueError: the data set is damaged.
    """

    def refuse(problem: reader.Problem) -> None:
        raise ValueError(f"data set {source.directory} is damaged: {problem}")

    features = _step_features(source)
    scalars = reader.flattened(source.features)
    for episode in source.episodes(refuse):
        named = {OBSERVATION + k: v for k, v in episode.observation.items()}
        steps = {
            name: _decoded(features[name], values)
            for name, values in (episode.steps | named).items()
        }
        exact = [name for name in steps if name.startswith(_EXACT)]
        steps |= {name.removeprefix(_EXACT): steps.pop(name) for name in exact}
        metadata = {
            name: value
            if isinstance(value, str)
            else np.dtype(scalars[f"episode_metadata/{name}"].np_dtype).type(value)
            for name, value in episode.metadata.items()
        }
        yield Trajectory(steps, metadata)


def _decoded(feature: Any, values: np.ndarray) -> np.ndarray:
    if values.dtype != object:
        return values
    seen = feature.get_tensor_info()
    if np.dtype(seen.np_dtype).kind in "biuf":
        decoded = [feature.decode_example(tf.constant(value)) for value in values]
        return np.stack([np.asarray(value) for value in decoded])
    return np.array([value.decode() for value in values], object)


def write(
    out: pathlib.Path,
    trajectories: Iterable[Trajectory],
    manifest: Mapping[str, Any],
    name: str,
    description: str,
) -> dict[str, Any]:
    """Writes episodes, all of the same arrays, as a new data set.

    Args:
      out: directory to make.
      trajectories: the episodes.
      manifest: see `new_dataset.NewDataset.finish`.
      name: name of the data set.
      description: description for people.

    Returns:
      The whole manifest.

    Raises:
      ValueError: there are no episodes, one has other arrays than the first, or the
        name is no word; nothing is written.
    """
    if not re.fullmatch(r"\w+", name):  # It comes from a file, and names files.
        raise ValueError(f"its name is {name!r}; valid: letters, digits, underscores")
    data = serialize = None
    with files.new_directory(out) as aside:
        for number, trajectory in enumerate(trajectories):
            steps, metadata = dict(trajectory.steps), trajectory.metadata
            for key, values in trajectory.steps.items():
                if values.dtype == np.float64:
                    steps[_EXACT + key] = values
                    steps[key] = values.astype(np.float32)
            if data is None:
                features = _features(steps, metadata)
                serialize = writer.Serializer(features)
                data = new_dataset.NewDataset(aside, features, name, description)
            assert serialize is not None, "made with the data set"
            nested = _nested(steps)
            try:
                record = serialize({"steps": nested, "episode_metadata": metadata})
            except (ValueError, KeyError) as e:
                raise ValueError(f"episode {number}: {errors.one_line(e)}") from e
            observation = nested.pop("observation")
            plain = {
                key: value.item() if isinstance(value, np.generic) else value
                for key, value in metadata.items()
            }
            place = reader.Place("", number, number)
            data.add(record, reader.Episode(place, observation, nested, plain))
        if data is None:
            raise ValueError("there are no episodes to import")
        return data.finish(manifest)


def _nested(steps: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {"observation": {}}
    for name, values in steps.items():
        if name.startswith(OBSERVATION):
            nested["observation"][name.removeprefix(OBSERVATION)] = values
        else:
            nested[name] = values
    return nested


def _features(steps: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> Any:
    f = tfds.features
    nested = _nested({name: _feature(name, v) for name, v in steps.items()})
    nested["observation"] = f.FeaturesDict(nested["observation"])
    scalars = {
        name: f.Text() if isinstance(value, str) else f.Scalar(value.dtype.type)
        for name, value in metadata.items()
    }
    return f.FeaturesDict(
        {"steps": f.Dataset(nested), "episode_metadata": f.FeaturesDict(scalars)}
    )


def _feature(name: str, values: np.ndarray) -> Any:
    f, shape = tfds.features, values.shape[1:]
    if values.dtype == object:
        return f.Text()
    if values.dtype == np.uint8 and len(shape) == 3 and shape[-1] in _CHANNELS:
        return f.Image(shape=shape, encoding_format="png")
    if values.dtype.kind not in "biuf" or values.dtype == np.uint64:
        raise ValueError(
            f"{name} is {values.dtype}; valid: numbers of at most 64 bits, signed"
        )
    encoding = f.Encoding.BYTES if name.startswith(_EXACT) else f.Encoding.NONE
    dtype = values.dtype.type
    if not shape and not name.startswith(_EXACT):
        return f.Scalar(dtype)
    return f.Tensor(shape=shape, dtype=dtype, encoding=encoding)


def origin(source: reader.Records) -> dict[str, Any]:
    """Returns what an exported file keeps of a data set, besides its episodes."""
    try:
        manifest = files.read_manifest(source.directory)
    except FileNotFoundError:  # Data sets made elsewhere have none.
        manifest = {}
    description = source.description or ""
    return {
        "name": source.name,
        "description": description,
        "manifest": {k: v for k, v in manifest.items() if not k.startswith("episode_")},
    }


def imported(form: str, path: pathlib.Path, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the manifest of an imported data set; `kept` is the file's `origin`."""
    manifest = kept.get("manifest") or {}
    return {
        "dataset": "imported",
        "format": form,
        "source": str(path),
        "settings": manifest.get("settings", {}),
        "manifest": manifest,
    }


def standard_steps(length: int, terminal: bool) -> dict[str, np.ndarray]:
    """Returns the flags of RLDS for an episode of this number of steps, T+1."""
    place = np.arange(length)
    last = place == length - 1
    return {"is_first": place == 0, "is_last": last, "is_terminal": last & terminal}


def check_out(out: pathlib.Path) -> None:
    """Raises ValueError if what is to be made exists."""
    if out.exists():
        raise ValueError(f"{out} exists; give another path")


def bar(total: int, progress: bool) -> Any:
    """Returns a progress bar over episodes on standard error."""
    return tqdm.tqdm(
        total=total, unit="episode", dynamic_ncols=True, disable=not progress
    )
