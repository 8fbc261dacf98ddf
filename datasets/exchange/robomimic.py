"""Data sets in robomimic's HDF5 layout, out and in.

`data/demo_I` has obs and next_obs (groups of arrays [T, ...]), actions, rewards and
dones [T, ...]; `data` has the attributes `total` and `env_args`, `mask` lists of demos.
What the layout has no place for lies in `data/demo_I/rlds`, which robomimic does not
read: `last`, values of the last step of what else has T, `steps`, arrays [T+1, ...],
and `metadata`; the array `rlds` has what is of no single episode. An observation's
name has underscores for the slashes of RLDS, at which robomimic would cut it. T is the
number of control steps. https://robomimic.github.io/docs/datasets/overview.html
"""

from __future__ import annotations

import json
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from datasets import loader
from datasets.exchange import trajectory
from datasets.rlds import errors, files, reader
from environments import gymnasium_envs, tasks

_GYM = 2  # robomimic.envs.env_base.EnvType.GYM_TYPE
# Names of a demo's own arrays, and of the same in RLDS.
_OWN = {"actions": "action", "rewards": "reward", "dones": "dones", "states": "states"}
_OBSERVATION = trajectory.OBSERVATION
_TEXT = h5py.string_dtype()


def export(
    directory: str | os.PathLike[str], out: pathlib.Path, progress: bool = True
) -> int:
    """Writes a data set as one HDF5 file.

    Args:
      directory: the data set.
      out: file to make.
      progress: whether to show a bar on standard error.

    Returns:
      The number of episodes.

    Raises:
      ValueError: in one line, why it cannot be exported; nothing is written.
    """
    trajectory.check_out(out)
    source = trajectory.open_dataset(directory)
    keys = _keys(source.observation_features)
    names, successes, total = [], [], 0
    with files.aside(out, durable=True) as aside, h5py.File(aside, "w") as file:
        data = file.create_group("data")
        with trajectory.bar(source.num_episodes, progress) as bar:
            for number, episode in enumerate(trajectory.read(source)):
                names.append(f"demo_{number}")
                total += _write_demo(data.create_group(names[-1]), episode, keys)
                if episode.metadata.get("success", False):
                    successes.append(names[-1])
                bar.update()
        data.attrs["total"] = total
        kept = trajectory.origin(source)
        kept["observations"] = {key: name for name, key in keys.items()}
        data.attrs["env_args"] = json.dumps(_env_args(source, kept))
        # As a data set, because an attribute holds 64 KiB at most.
        file["rlds"] = json.dumps(kept)
        split = len(names)
        if len(names) > 1:
            split -= loader.num_held_out(len(names))
        masks = {"train": names[:split], "valid": names[split:], "success": successes}
        for key, demos in masks.items():
            if demos:
                file[f"mask/{key}"] = np.array(demos, "S")
    return len(names)


def _env_args(source: reader.Records, kept: Mapping[str, Any]) -> dict[str, Any]:
    settings = kept["manifest"].get("settings", {})
    task = settings.get("task")
    name = gymnasium_envs.name(task) if task in tasks.TASKS else source.name
    return {"env_name": name, "type": _GYM, "env_kwargs": settings}


def _keys(names: Iterable[str]) -> dict[str, str]:
    """Returns robomimic's names of observations."""
    keys: dict[str, str] = {}
    for name in names:
        key = name.replace("/", "_")
        if key in keys.values():
            raise ValueError(f"two observations would both be {key}, as {name} would")
        keys[name] = key
    return keys


def _write_demo(
    demo: h5py.Group, episode: trajectory.Trajectory, keys: Mapping[str, str]
) -> int:
    steps = dict(episode.steps)
    length = len(steps["action"])
    count = max(length - 1, 0)
    demo.attrs["num_samples"] = count
    for name in [name for name in steps if name.startswith(_OBSERVATION)]:
        values, key = steps.pop(name), keys[name.removeprefix(_OBSERVATION)]
        _write(demo, f"obs/{key}", values[:-1])
        _write(demo, f"next_obs/{key}", values[1:])
    terminal = np.zeros(length, np.int64)
    terminal[:] = steps.get("is_terminal", 0)
    own = {key: steps.pop(name) for key, name in _OWN.items() if name in steps}
    for key, values in own.items():
        _write(demo, key, values[:-1])
        _write(demo, f"rlds/last/{key}", values[-1:])
    if "dones" not in own:
        _write(demo, "dones", terminal[1:])
    for name, values in steps.items():
        _write(demo, f"rlds/steps/{name}", values)
    for name, value in episode.metadata.items():
        demo[f"rlds/metadata/{name}"] = value
    return count


def _write(group: h5py.Group, name: str, values: np.ndarray) -> None:
    dtype = _TEXT if values.dtype == object else values.dtype
    compression = "gzip" if values.dtype == np.uint8 and values.ndim == 4 else None
    group.create_dataset(name, data=values, dtype=dtype, compression=compression)


def import_data(
    path: pathlib.Path, out: pathlib.Path, progress: bool = True
) -> dict[str, Any]:
    """Writes an HDF5 file of robomimic's as a data set.

    A file that `export` did not write gets the flags of RLDS; its other arrays become
    arrays of the steps, with a last step of zeros.

    Args:
      path: the file.
      out: directory to make.
      progress: whether to show a bar on standard error.

    Returns:
      The manifest.

    Raises:
      ValueError: in one line, why it cannot be imported; nothing is written.
    """
    trajectory.check_out(out)
    if not path.is_file():
        raise ValueError(f"{path} is not a file; valid: an HDF5 file of robomimic's")
    try:
        with h5py.File(path) as file:
            demos = _demos(path, file)
            kept = json.loads(_scalar(file["rlds"])) if "rlds" in file else {}
            manifest = trajectory.imported("robomimic", path, kept)
            manifest["env_args"] = file["data"].attrs.get("env_args", "")
            with trajectory.bar(len(demos), progress) as bar:
                return trajectory.write(
                    out,
                    _episodes(path, demos, kept.get("observations", {}), bar),
                    manifest,
                    kept.get("name", "robomimic"),
                    kept.get("description", f"Imported from {path.name}."),
                )
    except (OSError, LookupError, TypeError, AttributeError) as e:
        raise ValueError(f"{path} cannot be read: {errors.named(e)}") from e


def _demos(path: pathlib.Path, file: h5py.File) -> list[h5py.Group]:
    data = file.get("data")
    if not isinstance(data, h5py.Group) or not len(data):
        raise ValueError(f"{path} has no demos in data; valid: a file of robomimic's")
    names = sorted(data, key=lambda n: [int(d) for d in re.findall(r"\d+", n)] or [-1])
    for name in names:
        demo = data[name]
        for needed in ("obs", "actions"):
            if not isinstance(demo, h5py.Group) or needed not in demo:
                raise ValueError(f"{path}: data/{name} has no {needed}")
    return [data[name] for name in names]


def _episodes(
    path: pathlib.Path, demos: list[h5py.Group], names: Mapping[str, str], bar: Any
) -> Iterator[trajectory.Trajectory]:
    for number, demo in enumerate(demos):
        try:
            yield _episode(demo, number, names)
        except ValueError as e:
            raise ValueError(f"{path}: {demo.name}: {e}") from e
        bar.update()


def _episode(
    demo: h5py.Group, number: int, names: Mapping[str, str]
) -> trajectory.Trajectory:
    arrays = _arrays(demo)
    count, is_ours = len(arrays["actions"]), "rlds/last/actions" in arrays
    steps: dict[str, np.ndarray] = {}
    metadata: dict[str, Any] = {}
    for name, values in arrays.items():
        kind, _, key = name.partition("/")
        if kind in ("next_obs", "rlds"):
            continue
        if values.shape[:1] != (count,):
            raise ValueError(f"{name} has {len(values)} steps, but actions has {count}")
        if kind == "obs":
            end = arrays.get(f"next_obs/{key}", values)[-1:]
            steps[_OBSERVATION + names.get(key, key)] = np.concatenate([values, end])
            continue
        if is_ours and f"rlds/last/{name}" not in arrays:
            continue  # made of is_terminal
        end = arrays.get(f"rlds/last/{name}", np.zeros_like(values[:1]))
        steps[_OWN.get(name, name)] = np.concatenate([values, end])
    for name, values in arrays.items():
        if name.startswith("rlds/steps/"):
            steps[name.removeprefix("rlds/steps/")] = values
        elif name.startswith("rlds/metadata/"):
            metadata[name.removeprefix("rlds/metadata/")] = values
    if not is_ours:
        done = arrays.get("dones", np.zeros(count))
        terminal = bool(count and done[-1])
        steps = trajectory.standard_steps(count + 1, terminal) | steps
        steps.setdefault("discount", np.append(1 - done, 0).astype(np.float32))
        metadata = {"episode_index": np.int64(number), "demo": demo.name}
        metadata["attributes"] = json.dumps(dict(demo.attrs), default=_plain)
    return trajectory.Trajectory(steps, metadata)


def _arrays(demo: h5py.Group) -> dict[str, Any]:
    """Reads all arrays below a group, by their names; links are not followed."""
    arrays: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if item.external or item.is_virtual:
            raise ValueError(f"{name} lies in another file; valid: one file alone")
        if not item.shape:
            arrays[name] = _scalar(item)
        elif h5py.check_string_dtype(item.dtype):
            arrays[name] = np.asarray(item.asstr()[...], object)
        else:
            arrays[name] = item[...]

    demo.visititems(visit)
    if "actions" not in arrays:
        raise ValueError("actions is no array of this file")
    return arrays


def _scalar(item: h5py.Dataset) -> Any:
    value = item[()]
    return value.decode() if isinstance(value, bytes) else value


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
