"""Episodes of a data set in memory, read once and checked.

Learners need grouped observations, two actions per frame, rewards and discounts, all
float32: 2,000 episodes of 400 steps take 0.95 GB (and twice that while they are read).
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib

import numpy as np
import tensorflow as tf

from datasets.rlds import files, reader, schema
from environments import observations

_TOLERANCE = 1e-6  # for float32 actions at their bounds


@dataclasses.dataclass(frozen=True)
class Episodes:
    """All episodes of a data set, concatenated along the frames.

    Attributes:
      proprio: [F, P] float32, on the CPU.
      objects: [F, O] float32.
      action: [F, D] float32, the label: the action that the expert intended
        (`expert_action`) where the data set has it, else the executed one; zero in an
        episode's last frame.
      executed_action: [F, D] float32, the action that led to the next frame and its
        reward: the data set's `action`; zero in an episode's last frame.
      reward: [F] float32, received after the action; None where a data set has none.
      discount: [F] float32, as `reward`.
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
        """The number of episodes, E."""
        return len(self.lengths)


def load(directory: str | os.PathLike[str]) -> Episodes:
    """Reads a data set; a second call for the same one returns the same object.

    Raises:
      ValueError: the data set is missing, unfinished, empty, damaged, or of other
        shapes.
    """
    path = pathlib.Path(directory)
    return _load(path.resolve(), str(path), _check_files(path))


def _check_files(path: pathlib.Path) -> int:
    """Checks the files; returns a number that changes when the data set does."""
    files.check_dataset(path)
    return (path / files.DATASET_INFO).stat().st_mtime_ns


@functools.lru_cache(maxsize=1)  # A single one, because data sets are large.
def _load(path: pathlib.Path, name: str, version: int) -> Episodes:
    del path, version
    source = reader.Records(name, required=("observation", "action"))
    has_label = schema.EXPERT_ACTION in source.step_features
    label = schema.EXPERT_ACTION if has_label else "action"
    _check_shapes(source, name, label)
    return _read(source, name, label)


def _check_shapes(source: reader.Records, name: str, label: str) -> None:
    for key in (label, "action"):
        shape = source.step_features[key].shape
        if tuple(shape) != (schema.ACTION_SIZE,):
            raise ValueError(
                f"data set {name}: {key} has shape {list(shape)}; "
                f"valid: [{schema.ACTION_SIZE}]"
            )
    available = source.observation_features
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


def _read(source: reader.Records, name: str, label: str) -> Episodes:
    def refuse(problem: reader.Problem) -> None:
        raise ValueError(f"data set {name} is damaged: {problem}")

    episodes = []
    for episode in source.episodes(refuse):
        index, steps, metadata = episode.index, episode.steps, episode.metadata
        arrays = observations.group(episode.observation)
        actions = {"action": label, "executed_action": "action"}
        for key, original in actions.items():
            arrays[key] = np.asarray(steps[original], np.float32)
        for key, values in arrays.items():
            if not np.isfinite(values).all():
                raise ValueError(f"data set {name}: episode {index}: {key} not finite")
        for key, original in actions.items():
            largest = np.abs(arrays[key]).max(initial=0.0)
            if largest > 1.0 + _TOLERANCE:
                raise ValueError(
                    f"data set {name}: episode {index}: an {original} of "
                    f"{largest:.4g} is outside [-1, 1]"
                )
        for key in ("reward", "discount"):
            if key in steps:
                arrays[key] = np.asarray(steps[key], np.float32)
        if len(arrays["action"]) >= 2 and not metadata.get("invalid", False):
            combination = metadata.get("task", ""), int(metadata.get("object_set", 0))
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
