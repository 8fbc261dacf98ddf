"""Windows of a data set's episodes for offline learners; statistics and manifest.

Shapes: B batch, T window, L look-ahead frames, P proprioception, O objects, D action.
The last tenth of the episodes, at least one, is held out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from datasets import episodes as episodes_lib
from datasets.rlds import columns as columns_lib
from datasets.rlds import (
    description,
    files,
    recipes,
    running_statistics,
    schema,
)
from datasets.rlds.columns import Columns

SPLITS = ("train", "held_out")
_HELD_OUT_FRACTION = 0.1
# A feature that varies less carries no information, and must not be scaled up.
_MIN_STDDEV = 1e-4
_CHUNK = 1 << 14  # frames
_PARALLEL_CALLS = 2  # batches made at once, and batches ready

load = episodes_lib.load


def manifest(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the record of a data set, which no other data set has.

    Returns:
      `manifest.json`, which holds the time of collection and all returns. A data set
      that was not collected here has `content` besides: `name` and `version` of
      `dataset_info.json`, `shards`, the number of episodes by file, and `checksum`, of
      all records.

    Raises:
      ValueError: the manifest or the data set cannot be read, or there is no such
        directory.
    """
    path = pathlib.Path(directory)
    if not path.is_dir():
        raise ValueError(f"data set {path} does not exist")
    found: dict[str, Any] = {}
    with contextlib.suppress(FileNotFoundError):
        found = files.read_manifest(path)
    if found.get("dataset") == schema.DATASET_NAME:
        return found
    return {**found, "content": _content(path)}


def _content(path: pathlib.Path) -> dict[str, Any]:
    """Describes what a data set holds; see `manifest`."""
    files.check_dataset(path)
    info, shards = description.read(path)
    digest = hashlib.sha256()
    for shard in shards:
        try:
            # The checksums in the file, so that the records need not be read.
            digest.update(repr(files.record_checksums(shard)).encode())
        except OSError as e:
            raise ValueError(f"data set {path} is damaged: {shard.name}: {e}") from e
    lengths = info.splits[schema.SPLIT].shard_lengths
    return {
        "name": info.name,
        "version": str(info.version),
        "shards": {s.name: n for s, n in zip(shards, lengths, strict=True)},
        "checksum": digest.hexdigest(),
    }


def statistics(
    directory: str | os.PathLike[str],
    context: bool = False,
    columns: Columns = columns_lib.OWN,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns mean and standard deviation of `proprio` [P] and `objects` [O], float32.

    They are taken over all frames of the train split, unlike those of the data set's
    metadata: nothing of the held-out episodes may reach a model. A standard deviation
    of almost zero (under 1e-4) is replaced by 1.

    Args:
      directory: directory of the data set.
      context: as in `windows`; the context itself has mean 0 and deviation 1, so that
        normalisation leaves it unchanged.
      columns: as in `load`.

    Raises:
      ValueError: the data set cannot be used.
    """
    data = load(directory, columns)
    frames = int(data.lengths[: _num_train(data, directory)].sum())
    result = {}
    for key in ("proprio", "objects"):
        values = getattr(data, key).numpy()
        moments = running_statistics.RunningStatistics(values.shape[1])
        for start in range(0, frames, _CHUNK):  # spares memory, in float64
            moments.update(values[start : min(start + _CHUNK, frames)])
        stddev = np.where(moments.std < _MIN_STDDEV, 1.0, moments.std)
        result[key] = (moments.mean.astype(np.float32), stddev.astype(np.float32))
    if context:
        size = recipes.CONTEXT_SIZE
        mean, deviation = result["objects"]
        result["objects"] = (
            np.append(mean, np.zeros(size, np.float32)),
            np.append(deviation, np.ones(size, np.float32)),
        )
    return result


def windows(
    directory: str | os.PathLike[str],
    split: str = "train",
    batch_size: int = 128,
    window: int = 25,
    look_ahead: int = 5,
    seed: int = 0,
    skip: int = 0,
    context: bool = False,
    columns: Columns = columns_lib.OWN,
) -> tf.data.Dataset:
    """Returns batches of windows that never cross an episode's end.

    A window that starts at frame t has the frames t to t+T+L-1, where the episode's
    last frame repeats after its end, and the actions of t to t+T-1, where those after
    the last are zero and masked.

    `train` never ends: windows are drawn uniformly, with replacement, by (seed, number
    of the batch), from all that hold an action. Those may start up to T-1 frames before
    an episode, so that every action is in T windows and counts the same: with starts
    inside the episode alone, step t < T-1 would be in only t+1. A window that starts
    early has the episode's first frames at its front and fewer actions, so that the
    mask's zeros are always a suffix.

    `held_out` is one pass over consecutive windows, so that it has every action once;
    its last batch may be smaller.

    Args:
      directory: directory of the data set.
      split: train or held_out.
      batch_size: B.
      window: T.
      look_ahead: L.
      seed: seed of the draws of `train`.
      skip: batches to skip; the rest are those of a run that skips none.
      context: whether to append `recipes.context` of the episode's task and object set
        to each frame of `objects`.
      columns: as in `load`.

    Returns:
      A data set of `proprio` [B, T+L, P], `objects` [B, T+L, O], `action` [B, T, D] and
      `mask` [B, T] (1 where there is an action), all float32, prefetched.

    Raises:
      ValueError: the arguments are invalid or the data set cannot be used.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; valid: {', '.join(SPLITS)}")
    limits = {
        "batch_size": (batch_size, 1),
        "window": (window, 1),
        "look_ahead": (look_ahead, 0),
        "seed": (seed, 0),
        "skip": (skip, 0),
    }
    for name, (value, low) in limits.items():
        if value < low:
            raise ValueError(f"{name} is {value}; valid: whole numbers from {low}")
    data = load(directory, columns)
    train = _num_train(data, directory)
    gather = _Gather(data, window, look_ahead, context)
    plain = tf.autograph.experimental.do_not_convert  # there is nothing to convert
    with tf.device("CPU:0"):
        if split == "train":
            # An episode of n actions has the starts 1-T to n-1. Window i of all of them
            # is of the episode whose running count of windows first exceeds i.
            ends = tf.constant(np.cumsum(data.lengths[:train] + window - 2), tf.int64)

            lengths = tf.constant(data.lengths, tf.int64)

            def draw(batch: tf.Tensor) -> dict[str, tf.Tensor]:
                number = tf.random.stateless_uniform(
                    [batch_size],
                    seed=tf.stack([tf.cast(seed, tf.int64), batch]),
                    maxval=ends[-1],
                    dtype=tf.int64,
                    alg="philox",
                )
                episode = tf.searchsorted(ends, number, side="right")
                # Its last window starts at its last action, two frames before its end.
                behind = tf.gather(ends, episode) - 1 - number
                return gather(tf.gather(lengths, episode) - 2 - behind, episode)

            dataset = tf.data.Dataset.range(skip, np.iinfo(np.int64).max)
            dataset = dataset.map(plain(draw), num_parallel_calls=_PARALLEL_CALLS)
        else:
            starts, which = [], []
            for episode in range(train, data.num_episodes):
                inside = np.arange(0, data.lengths[episode] - 1, window)
                starts.append(inside)
                which.append(np.full(len(inside), episode, np.int32))
            dataset = tf.data.Dataset.from_tensor_slices(
                (np.concatenate(starts).astype(np.int64), np.concatenate(which))
            )
            dataset = dataset.batch(batch_size).skip(skip)
            dataset = dataset.map(plain(gather), num_parallel_calls=_PARALLEL_CALLS)
    # TensorFlow's tuner has nothing to tune here, and its sleeping thread delays the
    # end of the process by up to a minute.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(_PARALLEL_CALLS).with_options(options)


class Source:
    """Functions of this module, with the columns that a user names."""

    def __init__(self, columns: Columns):
        """Binds the columns."""
        self._columns = columns
        self.load = functools.partial(load, columns=columns)
        self.windows = functools.partial(windows, columns=columns)
        self.statistics = functools.partial(statistics, columns=columns)

    def manifest(self, directory: str | os.PathLike[str]) -> dict[str, Any]:
        """Returns `manifest` with the columns, which make it another set of data."""
        if self._columns.is_own:
            order = self._columns.object_order
            said = {"object_order": order} if order != "color" else {}
            return manifest(directory) | said
        return manifest(directory) | {"columns": dataclasses.asdict(self._columns)}


class _Gather:
    """Function that gathers windows from the frames of all episodes."""

    def __init__(
        self,
        data: episodes_lib.Episodes,
        window: int,
        look_ahead: int,
        context: bool,
    ) -> None:
        self._data = data
        self._window = window
        self._look_ahead = look_ahead
        with tf.device("CPU:0"):
            ends = np.cumsum(data.lengths)
            self._first = tf.constant(ends - data.lengths, tf.int64)
            self._last = tf.constant(ends - 1, tf.int64)
            self._context = None
            if context:
                contexts = np.stack([recipes.context(c) for c in data.combinations])
                self._context = tf.constant(contexts)  # [E, C]

    def __call__(self, start: tf.Tensor, episode: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the windows that start at frames `start` [B] of the episodes [B].

        A negative start is that many frames before the episode's first frame: the
        window has the first frames at its front and as many actions fewer.
        """
        start = start[:, None]
        first = tf.gather(self._first, episode)[:, None] + tf.maximum(start, 0)
        last = tf.gather(self._last, episode)[:, None]
        reach = tf.range(self._window + self._look_ahead, dtype=tf.int64)
        frames = tf.minimum(first + reach, last)  # [B, T+L]
        acting = frames[:, : self._window]
        inside = reach[: self._window] < self._window + tf.minimum(start, 0)
        mask = tf.cast((acting < last) & inside, tf.float32)
        objects = tf.gather(self._data.objects, frames)
        if self._context is not None:
            context = tf.gather(self._context, episode)[:, None]
            context = tf.repeat(context, self._window + self._look_ahead, axis=1)
            objects = tf.concat([objects, context], axis=-1)
        return {
            "proprio": tf.gather(self._data.proprio, frames),
            "objects": objects,
            "action": tf.gather(self._data.action, acting) * mask[..., None],
            "mask": mask,
        }


def num_held_out(num_episodes: int) -> int:
    """Returns the number of a data set's last episodes that are held out."""
    return max(1, round(_HELD_OUT_FRACTION * num_episodes))


def _num_train(data: episodes_lib.Episodes, directory: str | os.PathLike[str]) -> int:
    """Returns the number of episodes that are not held out."""
    if data.num_episodes < 2:
        raise ValueError(
            f"data set {directory} has {data.num_episodes} episode; valid: from 2, as "
            f"one is held out; it has {data.names[0]}"
        )
    return data.num_episodes - num_held_out(data.num_episodes)
