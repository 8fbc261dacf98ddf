"""Episodes of a data set in memory, read once and checked.

Learners need grouped observations, two actions per frame, rewards and discounts, all
float32: 2,000 episodes of 400 steps take 0.95 GB (and twice that while they are read).
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import warnings
from collections.abc import Hashable

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
      reward: [F] float32, received after the action, zero in an episode's last frame;
        None where a data set has none.
      discount: [F] float32, as `reward`.
      lengths: [E] frames of each episode, one more than its actions.
      combinations: task and object set (0: random) of each episode; ("", 0) where its
        metadata has none.
      names: [E] file and number of each episode, for messages.
    """

    proprio: tf.Tensor
    objects: tf.Tensor
    action: tf.Tensor
    executed_action: tf.Tensor
    lengths: np.ndarray
    combinations: tuple[tuple[str, int], ...]
    names: tuple[str, ...]
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


def _check_files(path: pathlib.Path) -> Hashable:
    """Checks the files; returns what changes when the data set does."""
    files.check_dataset(path)
    found = ((file, file.stat()) for file in path.iterdir() if file.is_file())
    return tuple(sorted((f.name, s.st_size, s.st_mtime_ns) for f, s in found))


@functools.lru_cache(maxsize=1)  # A single one, because data sets are large.
def _load(path: pathlib.Path, name: str, version: Hashable) -> Episodes:
    del path, version
    source = reader.Records(name, required=("observation", "action"))
    has_label = schema.EXPERT_ACTION in source.step_features
    label = schema.EXPERT_ACTION if has_label else "action"
    _check_shapes(source, label)
    return _read(source, name, label)


def _check_shapes(source: reader.Records, label: str) -> None:
    valid = (schema.ACTION_SIZE,)
    for key in (label, "action"):
        feature = source.step_features[key]
        if reader.array_shape(feature) != valid:
            text = f"says: {reader.wrong_shape(key, feature, valid)}"
            raise files.refusal(source.directory, files.FEATURES, text)
    source.check_groups()


def _read(source: reader.Records, name: str, label: str) -> Episodes:
    def refuse(problem: reader.Problem) -> None:
        raise ValueError(f"data set {name} is damaged: {problem}")

    episodes, empty = [], []
    for episode in source.episodes(refuse):
        length = len(episode.steps["action"])
        fault = _fault(episode, length, label)
        if length < 2 and fault is None:
            empty.append(episode)
        elif not episode.metadata.get("invalid", False):
            place = f"{episode.place.file}: episode {episode.index}"
            if fault is not None:
                raise ValueError(f"data set {name}: {place}: {fault}")
            task = episode.metadata.get("task", "")
            combination = task, episode.metadata.get("object_set", 0)
            arrays = _arrays(episode, label)
            episodes.append((episode.index, arrays, combination, place))
    if empty:
        first = empty[0].place
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        warnings.warn(
            f"data set {name}: left out, because it has no control step: {first}{more}",
            stacklevel=2,
        )
    if not episodes:
        shards = f"{source.files[0].name} to {source.files[-1].name}"
        raise ValueError(
            f"data set {name} has no episode with a control step, in {shards}"
        )
    episodes.sort(key=lambda e: e[0])
    _, arrays_of, combinations, names = zip(*episodes, strict=True)
    lengths = np.array([len(arrays["action"]) for arrays in arrays_of])
    with tf.device("CPU:0"):  # The data set may be larger than a GPU.
        tensors = {
            key: tf.convert_to_tensor(
                np.concatenate([arrays.pop(key) for arrays in arrays_of])
            )
            for key in list(arrays_of[0])
        }
    return Episodes(lengths=lengths, combinations=combinations, names=names, **tensors)


def _used(episode: reader.Episode, label: str) -> dict[str, np.ndarray]:
    """Returns the arrays that learners use, by their names in the data set."""
    observation = {
        name: episode.observation[name]
        for names in observations.GROUPS.values()
        for name in names
    }
    names = dict.fromkeys((label, "action", "reward", "discount"))
    steps = {name: episode.steps[name] for name in names if name in episode.steps}
    return observation | steps


def _fault(episode: reader.Episode, length: int, label: str) -> str | None:
    """Returns what makes an episode unfit to learn from, None if nothing does."""
    for name, values in _used(episode, label).items():
        if len(values) != length:
            return f"{name} has {len(values)} steps, but action has {length}"
        if length > 1 and name not in ("reward", "discount"):  # these are for RL alone
            acted = values[:-1] if name in (label, "action") else values
            if not np.isfinite(acted).all():
                return f"{name} not finite"
    for name in (label, "action"):
        largest = np.abs(episode.steps[name][:-1]).max(initial=0.0)
        if largest > 1.0 + _TOLERANCE:
            return f"an {name} of {largest:.4g} is outside [-1, 1]"
    return None


def _arrays(episode: reader.Episode, label: str) -> dict[str, np.ndarray]:
    """Returns an episode's arrays, float32, as `Episodes` names them.

    Of the last step only the observation has a meaning: what else it has becomes zero.
    """
    arrays = observations.group(episode.observation)
    originals = {"action": label, "executed_action": "action"}
    originals |= {k: k for k in ("reward", "discount") if k in episode.steps}
    for key, original in originals.items():
        arrays[key] = np.array(episode.steps[original], np.float32)
        arrays[key][-1:] = 0.0
    return arrays
