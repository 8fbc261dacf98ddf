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
from collections.abc import Hashable, Sequence

import numpy as np
import tensorflow as tf

from datasets.rlds import columns as columns_lib
from datasets.rlds import files, reader
from datasets.rlds.columns import Columns
from environments import mapping

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
      columns: what of the data set is here, by its own names, with the bounds by which
        actions were scaled to [-1, 1].
    """

    proprio: tf.Tensor
    objects: tf.Tensor
    action: tf.Tensor
    executed_action: tf.Tensor
    lengths: np.ndarray
    combinations: tuple[tuple[str, int], ...]
    names: tuple[str, ...]
    columns: Columns
    reward: tf.Tensor | None = None
    discount: tf.Tensor | None = None

    @property
    def num_episodes(self) -> int:
        """The number of episodes, E."""
        return len(self.lengths)


def load(
    directory: str | os.PathLike[str], columns: Columns = columns_lib.OWN
) -> Episodes:
    """Reads a data set; a second call for the same one returns the same object.

    Raises:
      ValueError: the data set is missing, unfinished, empty, damaged, or of other
        shapes.
    """
    path = pathlib.Path(directory)
    return _load(path.resolve(), str(path), _check_files(path), columns)


def _check_files(path: pathlib.Path) -> Hashable:
    """Checks the files; returns what changes when the data set does."""
    files.check_dataset(path)
    found = ((file, file.stat()) for file in path.iterdir() if file.is_file())
    return tuple(sorted((f.name, s.st_size, s.st_mtime_ns) for f, s in found))


@functools.lru_cache(maxsize=1)  # A single one, because data sets are large.
def _load(
    path: pathlib.Path, name: str, version: Hashable, columns: Columns
) -> Episodes:
    del path, version
    required = ("observation", "action") if columns.is_own else ("observation",)
    source = reader.Records(name, required=required)
    return _read(source, name, columns.resolved(source))


def _read(source: reader.Records, name: str, columns: Columns) -> Episodes:
    def refuse(problem: reader.Problem) -> None:
        raise ValueError(f"data set {name} is damaged: {problem}")

    episodes, empty = [], []
    for episode in source.episodes(refuse):
        length = len(episode.steps[columns.executed[0]])
        fault = _fault(episode, length, columns)
        if length < 2 and fault is None:
            empty.append(episode)
        elif not episode.metadata.get("invalid", False):
            place = f"{episode.place.file}: episode {episode.index}"
            if fault is not None:
                raise ValueError(f"data set {name}: {place}: {fault}")
            task = episode.metadata.get("task", "")
            combination = task, episode.metadata.get("object_set", 0)
            try:
                arrays = _arrays(episode, columns, task)
            except ValueError as e:
                raise ValueError(f"data set {name}: {place}: {e}") from e
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
    columns = _scale(arrays_of, columns)
    lengths = np.array([len(arrays["action"]) for arrays in arrays_of])
    with tf.device("CPU:0"):  # The data set may be larger than a GPU.
        tensors = {
            key: tf.convert_to_tensor(
                np.concatenate([arrays.pop(key) for arrays in arrays_of])
            )
            for key in list(arrays_of[0])
        }
    return Episodes(
        lengths=lengths,
        combinations=combinations,
        names=names,
        columns=columns,
        **tensors,
    )


def _scale(arrays_of: Sequence[dict[str, np.ndarray]], columns: Columns) -> Columns:
    """Scales actions to [-1, 1] in place; returns the columns with their bounds."""
    if columns.is_own:
        return columns
    if columns.bounds is None:
        low = np.min([arrays["action"][:-1].min(axis=0) for arrays in arrays_of], 0)
        high = np.max([arrays["action"][:-1].max(axis=0) for arrays in arrays_of], 0)
        columns = dataclasses.replace(columns, bounds=columns_lib.bounds_of(low, high))
    assert columns.bounds is not None
    for arrays in arrays_of:
        for key in ("action", "executed_action"):
            values = columns_lib.scaled(arrays[key][:-1], columns.bounds)
            arrays[key][:-1] = np.clip(values, -1.0, 1.0)
    return columns


def _used(episode: reader.Episode, columns: Columns) -> dict[str, np.ndarray]:
    """Returns the arrays that learners use, by their names in the data set."""
    observation = {name: episode.observation[name] for name in columns.sources}
    names = dict.fromkeys((*columns.action, *columns.executed, "reward", "discount"))
    steps = {name: episode.steps[name] for name in names if name in episode.steps}
    return observation | steps


def _fault(episode: reader.Episode, length: int, columns: Columns) -> str | None:
    """Returns what makes an episode unfit to learn from, None if nothing does."""
    actions = tuple(dict.fromkeys((*columns.action, *columns.executed)))
    for name, values in _used(episode, columns).items():
        if len(values) != length:
            return f"{name} has {len(values)} steps, but {actions[-1]} has {length}"
        if length > 1 and name not in ("reward", "discount"):  # these are for RL alone
            acted = values[:-1] if name in actions else values
            if not np.isfinite(acted).all():
                return f"{name} not finite"
    if columns.bounds is None:
        return None
    low, high = np.asarray(columns.bounds)
    room = _TOLERANCE * (high - low) / 2
    for names in dict.fromkeys((columns.action, columns.executed)):
        values = mapping.vector(episode.steps, names, lead=1)[:-1]
        beyond = np.maximum(low - values, values - high) - room
        if (beyond > 0).any():
            step, i = np.unravel_index(np.argmax(beyond), beyond.shape)
            return (
                f"an {', '.join(names)} of {values[step, i]:.4g} is outside "
                f"[{low[i]:g}, {high[i]:g}]"
            )
    return None


def _arrays(
    episode: reader.Episode, columns: Columns, task: str
) -> dict[str, np.ndarray]:
    """Returns an episode's arrays, float32, as `Episodes` names them.

    Of the last step only the observation has a meaning: what else it has becomes zero.
    """
    arrays = columns.observations(episode.observation, task)
    arrays["action"] = mapping.vector(episode.steps, columns.action, lead=1)
    arrays["executed_action"] = mapping.vector(episode.steps, columns.executed, lead=1)
    for key in ("reward", "discount"):
        if key in episode.steps:
            arrays[key] = np.array(episode.steps[key], np.float32)
    for key in arrays.keys() - {"proprio", "objects"}:
        arrays[key][-1:] = 0.0
    return arrays
