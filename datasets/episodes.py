"""Reads a data set once, checks it, and keeps what learners need in memory.

Kept are the grouped observations, two actions a frame, rewards and discounts, float32:
2,000 episodes of 400 steps are 0.95 GB (and twice that while they are read).
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from datasets.rlds import files, schema
from environments import observations

_TOLERANCE = 1e-6  # of float32, at the bounds of actions


@dataclasses.dataclass(frozen=True)
class Episodes:
    """All episodes of a data set, one after another along the frames.

    Attributes:
      proprio: [F, P] float32, on the CPU.
      objects: [F, O] float32.
      action: [F, D] float32, the label: what the expert intended (`expert_action`)
        where the data set has it, else what was executed; zero in an episode's last
        frame.
      executed_action: [F, D] float32, what led to the next frame and its reward: the
        data set's `action`; zero in an episode's last frame.
      reward: [F] float32, got after the action; None where a data set has none.
      discount: [F] float32, the same.
      lengths: [E] frames of each episode, one more than its actions.
      combinations: task and object set (0: random) of each episode; ("", 0) where its
        metadata has none.
    """

    proprio: tf.Tensor
    objects: tf.Tensor
    action: tf.Tensor
    executed_action: tf.Tensor
    lengths: np.ndarray
    combinations: tuple[tuple[str, int], ...]
    reward: tf.Tensor | None = None
    discount: tf.Tensor | None = None

    @property
    def num_episodes(self) -> int:
        """E."""
        return len(self.lengths)


def load(directory: str | os.PathLike[str]) -> Episodes:
    """Reads a data set; a second call for the same one costs nothing.

    Raises:
      ValueError: missing, unfinished, empty, damaged, or of other shapes.
    """
    path = pathlib.Path(directory)
    return _load(path.resolve(), str(path), _check_files(path))


def _check_files(path: pathlib.Path) -> int:
    """Returns what changes when the data set does."""
    files.check_dataset(path)
    return (path / files.DATASET_INFO).stat().st_mtime_ns


@functools.lru_cache(maxsize=1)  # Only one: they are large.
def _load(path: pathlib.Path, name: str, version: int) -> Episodes:
    del version
    try:
        builder = tfds.builder_from_directory(str(path))
    except Exception as e:  # TFDS raises whatever its parsers do.
        raise ValueError(f"data set {name} cannot be read: {_line(e)}") from e
    _check_format(builder, name)
    try:
        return _read(builder, name)
    except (tf.errors.OpError, AssertionError) as e:
        raise ValueError(f"data set {name} is damaged: {_line(e)}") from e


def _check_format(builder: tfds.core.DatasetBuilder, name: str) -> None:
    splits = builder.info.splits
    if schema.SPLIT not in splits:
        there = ", ".join(splits) or "none"
        raise ValueError(f"data set {name} lacks the split train; it has {there}")
    if splits[schema.SPLIT].num_examples == 0:
        raise ValueError(f"data set {name} is empty")
    for file in splits[schema.SPLIT].filepaths:
        if not file.exists():
            raise ValueError(f"data set {name} lacks its file {file.name}")
    try:
        steps = builder.info.features["steps"].feature
        actions = {key: steps[key] for key in (_label(builder), "action")}
        available = dict(steps["observation"].items())
    except (KeyError, AttributeError, TypeError) as e:
        raise ValueError(
            f"data set {name} is not RLDS: an example has no steps with observation "
            "and action"
        ) from e
    for key, action in actions.items():
        if tuple(action.shape) != (schema.ACTION_SIZE,):
            raise ValueError(
                f"data set {name}: {key} has shape {list(action.shape)}; "
                f"valid: [{schema.ACTION_SIZE}]"
            )
    keys = [key for names in observations.GROUPS.values() for key in names]
    missing = [key for key in keys if key not in available]
    if missing:
        raise ValueError(f"data set {name} lacks the observations {', '.join(missing)}")
    for key in keys:
        shape, valid = tuple(available[key].shape), observations.shape(key)
        if shape != valid:
            raise ValueError(
                f"data set {name}: {key} has shape {list(shape)}; valid: {list(valid)}"
            )


def _read(builder: tfds.core.DatasetBuilder, name: str) -> Episodes:
    label = _label(builder)
    # Undecoded, `steps` is a dict of whole arrays and not a data set of single steps.
    dataset = builder.as_dataset(
        split=schema.SPLIT,
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        decoders={"steps": tfds.decode.SkipDecoding()},
    )
    episodes = []
    for position, example in enumerate(dataset.as_numpy_iterator()):
        metadata = example.get("episode_metadata", {})
        index = int(metadata.get("episode_index", position))
        steps = example["steps"]
        arrays = observations.group(steps["observation"])
        actions = {"action": label, "executed_action": "action"}
        for key, source in actions.items():
            arrays[key] = np.asarray(steps[source], np.float32)
        for key, values in arrays.items():
            if not np.isfinite(values).all():
                raise ValueError(f"data set {name}: episode {index}: {key} not finite")
        for key, source in actions.items():
            largest = np.abs(arrays[key]).max(initial=0.0)
            if largest > 1.0 + _TOLERANCE:
                raise ValueError(
                    f"data set {name}: episode {index}: an {source} of {largest:.4g} "
                    "is outside [-1, 1]"
                )
        for key in ("reward", "discount"):
            if key in steps:
                arrays[key] = np.asarray(steps[key], np.float32)
        if len(arrays["action"]) >= 2 and not metadata.get("invalid", False):
            task = metadata.get("task", b"").decode()
            combination = task, int(metadata.get("object_set", 0))
            episodes.append((index, arrays, combination))
    if not episodes:
        raise ValueError(f"data set {name} has no episode with a control step")
    episodes.sort(key=lambda e: e[0])
    lengths = np.array([len(arrays["action"]) for _, arrays, _ in episodes])
    with tf.device("CPU:0"):  # The data set may be larger than a GPU.
        tensors = {
            key: tf.convert_to_tensor(
                np.concatenate([arrays.pop(key) for _, arrays, _ in episodes])
            )
            for key in list(episodes[0][1])
        }
    combinations = tuple(combination for *_, combination in episodes)
    return Episodes(lengths=lengths, combinations=combinations, **tensors)


def _label(builder: tfds.core.DatasetBuilder) -> str:
    """Returns the name of the steps' array that learners imitate."""
    steps = builder.info.features["steps"].feature
    return schema.EXPERT_ACTION if schema.EXPERT_ACTION in steps else "action"


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
