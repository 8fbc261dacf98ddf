"""Reads a data set file by file and record by record, to locate damage.

TFDS names at best the file of an error, and stops there; this reader continues with the
other files.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from datasets.rlds import errors, files, schema, writer

REQUIRED = ("observation", "action", "reward", "is_first", "is_last", "is_terminal")


@dataclasses.dataclass(frozen=True)
class Place:
    """Place in a data set, printed as `FILE: episode 12 (record 2)`.

    Attributes:
      file: name of the file in the data set's directory.
      episode: the episode's `episode_index`, or else its position in the data set; None
        for the whole file.
      record: the record's position in the file.
    """

    file: str
    episode: int | None = None
    record: int | None = None

    def __str__(self) -> str:
        if self.episode is None:
            return self.file
        return f"{self.file}: episode {self.episode} (record {self.record})"


@dataclasses.dataclass(frozen=True)
class Problem:
    """Problem, in one line; a warning is unusual but may be intended."""

    place: Place
    text: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


Report = Callable[[Problem], None]


@dataclasses.dataclass(frozen=True)
class Episode:
    """An episode, whose images are not decoded.

    Attributes:
      place: file and episode.
      observation: arrays [T+1, ...] by name; images are [T+1] bytes.
      steps: the other arrays of the steps, [T+1, ...] by name.
      metadata: scalars by name, text as str; empty where the data set has none.
    """

    place: Place
    observation: dict[str, np.ndarray]
    steps: dict[str, np.ndarray]
    metadata: dict[str, Any]

    @property
    def index(self) -> int:
        """The `episode_index`, or else the position in the data set."""
        assert self.place.episode is not None, "a place of an episode names it"
        return self.place.episode


class Records:
    """Reader of a data set's episodes, one after another.

    Attributes:
      directory: directory of the data set.
      features: features of the whole example, as TFDS defines them.
      step_features: features of one step, by name.
      observation_features: features of one step's observations, by name.
      files: paths of the shards, in order.
      lengths: number of episodes that each shard must hold.
      statistics: statistics of the steps in the metadata; empty if they have none.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        required: Sequence[str] = REQUIRED,
    ) -> None:
        """Reads the metadata alone.

        Args:
          directory: directory of the data set.
          required: names of features that its steps must have.

        Raises:
          ValueError: there is no directory or no data set, or it is empty, not RLDS, or
            not of TFRecord files.
        """
        path = self.directory = pathlib.Path(directory)
        files.check_dataset(path)
        try:
            info = tfds.builder_from_directory(str(path)).info
        except Exception as e:  # TFDS passes on any exception of its parsers.
            raise ValueError(
                f"data set {path} cannot be read: {errors.one_line(e)}"
            ) from e
        if schema.SPLIT not in info.splits:
            available = ", ".join(info.splits) or "none"
            raise ValueError(
                f"data set {path} lacks the split train; it has {available}"
            )
        if info.file_format.value != schema.FILE_FORMAT:
            raise ValueError(
                f"data set {path} has {info.file_format.value} files; valid: "
                f"{schema.FILE_FORMAT}"
            )
        if not info.splits[schema.SPLIT].num_examples:
            raise ValueError(f"data set {path} is empty")
        self.features = info.features
        self.step_features = _step_features(path, info.features, required)
        self.observation_features = dict(self.step_features["observation"].items())
        split = info.splits[schema.SPLIT]
        self.files = [pathlib.Path(os.fspath(f)) for f in split.filepaths]
        self.lengths = list(split.shard_lengths)
        self.statistics = dict((info.metadata or {}).get("statistics", {}))

    @property
    def num_episodes(self) -> int:
        """The number of episodes according to `dataset_info.json`."""
        return sum(self.lengths)

    def episodes(self, report: Report, first: int = 0) -> Iterator[Episode]:
        """Yields every episode that can be read and reports the others.

        Args:
          report: called with each file that is missing, cut off, corrupt, or holds
            another number of episodes, and each record that does not fit the features.
          first: position in the data set of the first episode to read.
        """
        parse = writer.Parser(self.features)
        begin = 0  # position of the file's first episode
        for path, length in zip(self.files, self.lengths, strict=True):
            if begin + length > first:
                for number, record in self._records(path, begin, length, report):
                    place = Place(path.name, begin + number, number)
                    if begin + number < first:
                        continue
                    try:
                        example = parse(record)
                    except (tf.errors.OpError, ValueError) as e:
                        text = f"does not fit the features: {errors.one_line(e)}"
                        report(Problem(place, text))
                        continue
                    yield _episode(place, example)
            begin += length

    def _records(
        self, path: pathlib.Path, first: int, length: int, report: Report
    ) -> Iterator[tuple[int, tf.Tensor]]:
        """Yields a file's records and their numbers, up to any damage."""
        if not path.exists():
            report(Problem(Place(path.name), f"missing, with {length} episodes"))
            return
        count, records = 0, iter(tf.data.TFRecordDataset(str(path)))
        while True:
            try:
                record = next(records)
            except StopIteration:
                break
            except tf.errors.OpError as e:
                rest = length - count - 1
                text = errors.one_line(e.message) + (
                    f"; the {rest} after it are not read" if rest > 0 else ""
                )
                report(Problem(Place(path.name, first + count, count), text))
                return
            yield count, record
            count += 1
        if count != length:
            text = f"holds {count} episodes, but {files.DATASET_INFO} says {length}"
            report(Problem(Place(path.name), text))


def _episode(place: Place, example: dict[str, Any]) -> Episode:
    steps = dict(example["steps"])
    metadata = {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value
        for name, value in example.get("episode_metadata", {}).items()
    }
    if "episode_index" in metadata:
        place = dataclasses.replace(place, episode=int(metadata["episode_index"]))
    return Episode(place, dict(steps.pop("observation")), steps, metadata)


def _step_features(
    path: pathlib.Path, features: Any, required: Sequence[str]
) -> dict[str, Any]:
    try:
        steps = dict(features["steps"].feature.items())
        missing = [name for name in required if name not in steps]
        if "observation" in steps:
            steps["observation"].items()
    except (KeyError, AttributeError, TypeError) as e:
        raise ValueError(
            f"data set {path} is not RLDS: an example has no steps with named "
            "observations"
        ) from e
    if missing:
        raise ValueError(f"data set {path}: its steps lack {', '.join(missing)}")
    return steps
