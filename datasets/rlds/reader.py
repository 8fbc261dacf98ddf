"""Reads a data set file by file and record by record, to locate damage.

TFDS names at best the file of an error, and stops there; this reader continues with the
other files.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from datasets.rlds import description, errors, files, schema, writer
from environments import mapping, observations

REQUIRED = ("observation", "action", "reward", "is_first", "is_last", "is_terminal")
flattened = writer.flattened  # features as well as arrays
_ACTIONS = ("action", schema.EXPERT_ACTION)
_KNOWN = (*_ACTIONS, *REQUIRED[2:], "discount", "expert_phase")
_NUMBERS = "biuf"  # kinds of NumPy's types
_READ = ("steps", "episode_metadata")
_METADATA = {
    **dict.fromkeys(("success", "invalid"), bool),
    **dict.fromkeys(("episode_index", "seed", "object_set", "action_delay"), int),
    **dict.fromkeys(("task", "reward", "expert"), str),
    **dict.fromkeys(("expert_phases", "randomization"), str),
}


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
      features: features of an example as TFDS defines them: `steps`, and
        `episode_metadata` where there are any.
      step_features: features of one step without its observations, by name. A name has
        those of the dictionaries around it before it, joined by slashes.
      observation_features: features of one step's observations, by name as above.
      files: paths of the shards, in order.
      lengths: number of episodes that each shard must hold.
      statistics: statistics of the steps in the metadata; empty if they have none.
      name, description: the data set's own, from `dataset_info.json`.
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
          ValueError: there is no directory or no data set, or it is empty, damaged, not
            RLDS, or not of TFRecord files; the message names the file.
        """
        path = self.directory = pathlib.Path(directory)
        files.check_dataset(path)
        info, self.files = description.read(path)
        self.features = _example_features(path, info.features)
        steps = self.features["steps"].feature
        self.observation_features = flattened({"observation": steps["observation"]})
        if isinstance(steps["observation"], tfds.features.FeaturesDict):
            self.observation_features = flattened(steps["observation"])
        own = {k: f for k, f in steps.items() if k != "observation"}
        self.step_features = flattened(own)
        missing = [name for name in required if name not in steps]
        if missing:
            text = f"lacks {', '.join(missing)} of the steps"
            raise files.refusal(path, files.FEATURES, text)
        for name in (n for n in _KNOWN if n in own):
            fault = _fault(name, own[name])
            if fault and name in (*required, schema.EXPERT_ACTION):
                raise files.refusal(path, files.FEATURES, f"says that {fault}")
            if fault:
                self.step_features.pop(name, None)
        self.lengths = list(info.splits[schema.SPLIT].shard_lengths)
        self.statistics = _statistics(info.metadata)
        self.name, self.description = info.name, info.description
        try:
            self._parse = writer.Parser(self.features)
        except Exception as e:  # TFDS's and TensorFlow's own, of features they lack
            text = f"cannot be used: {errors.named(e)}"
            raise files.refusal(path, files.FEATURES, text) from e

    def check_groups(self) -> None:
        """Raises ValueError unless the learners' observations are as they need them."""
        available = self.observation_features
        keys = [key for names in observations.GROUPS.values() for key in names]
        missing = [key for key in keys if key not in available]
        if missing:
            text = f"lacks the observations {', '.join(missing)}"
            raise files.refusal(self.directory, files.FEATURES, text)
        for key in keys:
            valid = observations.shape(key)
            if array_shape(available[key]) != valid:
                text = f"says: {wrong_shape(key, available[key], valid)}"
                raise files.refusal(self.directory, files.FEATURES, text)

    @property
    def num_episodes(self) -> int:
        """The number of episodes according to `dataset_info.json`."""
        return sum(self.lengths)

    def episodes(self, report: Report, first: int = 0) -> Iterator[Episode]:
        """Yields every episode that can be read; see `examples`."""
        for episode, _ in self.examples(report, first):
            yield episode

    def examples(
        self, report: Report, first: int = 0
    ) -> Iterator[tuple[Episode, bytes]]:
        """Yields every episode that can be read, with its record; reports the others.

        Args:
          report: called with each file that is missing, cut off, corrupt, or holds
            another number of episodes, and each record that does not fit the features.
          first: position in the data set of the first episode to read.
        """
        begin = 0  # position of the file's first episode
        for path, length in zip(self.files, self.lengths, strict=True):
            if begin + length > first or first == 0:
                for number, record in self._records(path, begin, length, report):
                    place = Place(path.name, begin + number, number)
                    if begin + number < first:
                        continue
                    try:
                        example = self._parse(record)
                    except (tf.errors.OpError, ValueError) as e:
                        text = f"does not fit {files.FEATURES}: {errors.one_line(e)}"
                        report(Problem(place, text))
                        continue
                    yield self._episode(place, example), record.numpy()
            begin += length

    def _records(
        self, path: pathlib.Path, first: int, length: int, report: Report
    ) -> Iterator[tuple[int, tf.Tensor]]:
        """Yields a file's records and their numbers, up to any damage."""
        if not path.exists():
            text = f"missing, with {length} episodes of {files.DATASET_INFO}"
            report(Problem(Place(path.name), text))
            return
        count, records = 0, iter(tf.data.TFRecordDataset(str(path)))
        while True:
            try:
                record = next(records)
            except StopIteration:
                break
            except tf.errors.OpError as e:
                if count >= length:
                    text = f"has bytes after its last record: {errors.one_line(e)}"
                    report(Problem(Place(path.name), text))
                    return
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
            return
        _, surplus = files.record_checksums(path)
        if surplus:  # TensorFlow takes fewer than 12 for the file's end
            text = f"has {surplus} bytes after its last record"
            report(Problem(Place(path.name), text))

    def _episode(self, place: Place, example: dict[str, Any]) -> Episode:
        steps = dict(example["steps"])
        observation = mapping.flattened(steps.pop("observation"))
        steps = {
            name: values
            for name, values in writer.flattened(steps).items()
            if name in self.step_features
        }
        metadata = _metadata(example.get("episode_metadata"))
        if "episode_index" in metadata:
            place = dataclasses.replace(place, episode=metadata["episode_index"])
        return Episode(place, observation, steps, metadata)


def _metadata(values: Any) -> dict[str, Any]:
    """Returns an episode's scalars by name, text as str.

    What has a name of this project and is of another kind is left out: it is not ours.
    """
    found = {}
    for name, value in (values if isinstance(values, Mapping) else {}).items():
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        elif isinstance(value, np.generic):
            value = value.item()
        if not isinstance(value, str | int | float):
            continue
        kind = _METADATA.get(name)
        if kind is bool and value in (0, 1):
            value = bool(value)
        if kind is None or isinstance(value, kind):
            found[name] = value
    return found


def array_shape(feature: Any) -> tuple[int, ...] | None:
    """Returns the shape of a feature that is stored as plain numbers; else None."""
    info = feature.get_serialized_info()
    if not isinstance(info, tfds.features.TensorInfo) or info.sequence_rank:
        return None
    if np.dtype(info.np_dtype).kind not in _NUMBERS or None in info.shape:
        return None
    return tuple(info.shape)


def wrong_shape(name: str, feature: Any, valid: tuple[int, ...]) -> str:
    """Returns what a feature is instead of an array of this shape."""
    shape = array_shape(feature)
    if shape is None:
        return f"{name} is {_kind(feature)}; valid: numbers of shape {list(valid)}"
    return f"{name} has shape {list(shape)}; valid: {list(valid)}"


def _kind(feature: Any) -> str:
    if isinstance(feature, tfds.features.FeaturesDict):
        return f"a dictionary of {', '.join(sorted(feature))}"
    stored, kind = feature.get_serialized_info(), type(feature).__name__
    if not isinstance(stored, tfds.features.TensorInfo):
        return f"a {kind} of dictionaries"
    if np.dtype(stored.np_dtype).kind in _NUMBERS:
        return f"a {kind} of shape {list(stored.shape)}"
    is_encoded = np.dtype(feature.np_dtype).kind in _NUMBERS
    return f"an encoded {kind}" if is_encoded else f"a {kind}"


def _fault(name: str, feature: Any) -> str | None:
    """Returns what is wrong with a feature of the steps, None if nothing is."""
    shape = array_shape(feature)
    if shape is None:
        return f"{name} is {_kind(feature)}; valid: one array of numbers"
    if shape and name not in _ACTIONS:
        return f"{name} has shape {list(shape)}; valid: []"
    return None


def _example_features(path: pathlib.Path, features: Any) -> Any:
    """Returns the features that are read; raises ValueError unless they are RLDS."""

    def refuse(text: str) -> ValueError:
        return files.refusal(path, files.FEATURES, f"is not RLDS: {text}")

    kinds = tfds.features
    if not isinstance(features, kinds.FeaturesDict) or "steps" not in features:
        raise refuse("an example has no steps")
    steps = features["steps"]
    if not isinstance(steps, kinds.Dataset):
        raise refuse(f"steps is {_kind(steps)}; valid: a Dataset")
    if (
        not isinstance(steps.feature, kinds.FeaturesDict)
        or "observation" not in steps.feature
    ):
        raise refuse("a step has no observation")
    read = {name: features[name] for name in _READ if name in features}
    return kinds.FeaturesDict(read)


def _statistics(metadata: Any) -> dict[str, Any]:
    """Returns the statistics of `metadata.json`, {} if it has none of our form."""
    statistics = (metadata or {}).get("statistics")
    if not isinstance(statistics, dict):
        return {}
    return {k: v if isinstance(v, dict) else {} for k, v in statistics.items()}
