"""Writes the files of a data set, shards and metadata, and reads shards back.

Files are written aside and then renamed. Their names are those of TFDS, so that
`tfds.builder_from_directory` reads the directory. `dataset_info.json` is written last:
where it exists, the data set is complete.
"""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core import (
    dataset_info,
    example_serializer,
    naming,
    splits,
)

from datasets.rlds import files as rlds_files
from datasets.rlds import schema


class Serializer:
    """Serialiser of examples of `rollout.run_episode` to `tf.train.Example`s."""

    def __init__(self, features: tfds.features.FeaturesDict) -> None:
        """Takes the features of `schema.features`, or others of arrays and texts."""
        self._metadata = features["episode_metadata"]
        self._features = flattened(features["steps"].feature)
        self._steps = flattened(features.get_serialized_info()["steps"])
        self._serializer = example_serializer.ExampleSerializer(
            {"episode_metadata": self._metadata.get_serialized_info()}
        )

    def __call__(self, example: Mapping[str, Any]) -> bytes:
        """Serialises an episode; raises if arrays do not fit the features."""
        # TFDS would write the steps one by one, at forty times the cost of whole
        # arrays, which give the same bytes (writer_test).
        metadata = self._metadata.encode_example(example["episode_metadata"])
        proto = self._serializer.get_tf_example({"episode_metadata": metadata})
        self._add_steps(proto, flattened(example["steps"]))
        return proto.SerializeToString(deterministic=True)

    def _add_steps(
        self, proto: tf.train.Example, arrays: Mapping[str, np.ndarray]
    ) -> None:
        if arrays.keys() != self._steps.keys():
            odd = ", ".join(sorted(arrays.keys() ^ self._steps.keys()))
            raise ValueError(f"the steps and the features differ in {odd}")
        for name, values in arrays.items():
            stored, seen = self._steps[name], self._features[name].get_tensor_info()
            shape, dtype = tuple(seen.shape), np.dtype(seen.np_dtype)
            if values.shape[1:] != shape or (
                values.dtype != dtype and dtype.kind in "biuf"
            ):
                raise ValueError(
                    f"{name} is {values.dtype} {list(values.shape[1:])}, but the "
                    f"features say {dtype} {list(shape)}"
                )
            feature = proto.features.feature[f"steps/{name}"]
            kind = np.dtype(stored.np_dtype).kind
            if kind == "f":
                feature.float_list.MergeFromString(_packed(values))
            elif kind in "biu":
                feature.int64_list.value.extend(values.ravel().tolist())
            else:  # images, texts, and what TFDS has no numbers for
                encode = self._features[name].encode_example
                feature.bytes_list.value.extend(
                    tf.compat.as_bytes(encode(value)) for value in values
                )


def flattened(nested: Any, prefix: str = "") -> dict[str, Any]:
    """Flattens nested values to names joined by slashes, as TFDS stores them."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping | tfds.features.FeaturesDict):
            flat |= flattened(value, f"{prefix}{name}/")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _packed(values: np.ndarray) -> bytes:
    """Serialises a `tf.train.FloatList`, whose single field packs the raw numbers.

    https://protobuf.dev/programming-guides/encoding/#packed
    """
    content = values.astype("<f4", copy=False).tobytes()
    size, length = bytearray(), len(content)
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return b"\x0a" + bytes((*size, length)) + content


def _template(directory: pathlib.Path, name: str) -> naming.ShardedFileTemplate:
    return naming.ShardedFileTemplate(
        data_dir=directory,
        dataset_name=name,
        split=schema.SPLIT,
        filetype_suffix=schema.FILE_FORMAT,
    )


def write_shard(path: pathlib.Path, records: Iterable[bytes]) -> None:
    """Writes a shard aside, flushes it to disk, then renames it."""
    with (
        rlds_files.aside(path, durable=True) as aside,
        tf.io.TFRecordWriter(str(aside)) as writer,
    ):
        for record in records:
            writer.write(record)


class Parser:
    """Parser of serialised examples of these features into arrays."""

    def __init__(self, features: tfds.features.FeaturesDict) -> None:
        """Takes the features of a whole example, from `schema.features` or others.

        Raises whatever TFDS and TensorFlow do for features that cannot be parsed.
        """
        # Without decoding, `steps` are whole arrays, not a data set of single steps.
        skip = {"steps": tfds.decode.SkipDecoding()}

        @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
        def parse(record: tf.Tensor) -> Any:
            return features.deserialize_example(record, decoders=skip)

        self._parse = parse.get_concrete_function()

    def __call__(self, record: tf.Tensor) -> dict[str, Any]:
        """Returns the example, the steps as arrays [T+1, ...], images as bytes.

        Raises:
          tf.errors.OpError, ValueError: a record does not fit the features.
        """
        return tf.nest.map_structure(_numpy, self._parse(record))


def _numpy(values: Any) -> Any:
    """Converts to NumPy; ragged values to an array of objects, whatever their rows."""
    if isinstance(values, tf.Tensor):
        return values.numpy()
    if not isinstance(values, tf.RaggedTensor):
        return values
    rows = np.empty(values.nrows(), object)
    for i, row in enumerate(values):
        rows[i] = row.numpy()
    return rows


def read_shard(
    path: pathlib.Path, parse: Parser
) -> Iterator[tuple[schema.EpisodeSummary, dict[str, Any], bytes]]:
    """Yields the summary, the steps and the record of each episode of a shard.

    Raises:
      ValueError: the shard is damaged.
    """
    try:
        for record in tf.data.TFRecordDataset(str(path)):
            example = parse(record)
            summary = schema.summary(example)
            yield summary, example["steps"], record.numpy()
        if rlds_files.record_checksums(path)[1]:
            raise ValueError("bytes after the last record")
    except (tf.errors.OpError, ValueError) as e:
        raise ValueError(f"{path} is damaged: delete it and collect again") from e


def write_metadata(
    directory: pathlib.Path,
    features: tfds.features.FeaturesDict,
    shard_lengths: Sequence[int],
    num_bytes: int,
    manifest: Mapping[str, Any],
    statistics: Mapping[str, Any],
    name: str = schema.DATASET_NAME,
    description: str = schema.DESCRIPTION,
) -> None:
    """Writes all that TFDS needs to read the shards, `dataset_info.json` last.

    Args:
      directory: directory of the data set.
      features: features from `schema.features`.
      shard_lengths: number of episodes in each shard, in order.
      num_bytes: size of all episodes.
      manifest: content of `manifest.json`.
      statistics: result of `statistics.StepStatistics`; TFDS's readers show it as
        `builder.info.metadata["statistics"]`.
      name: name of the data set, with which its files' names begin.
      description: description for people.
    """
    identity = dataset_info.DatasetIdentity(
        name=name,
        version=tfds.core.Version(schema.VERSION),
        data_dir=str(directory),
        module_name="",
    )
    info = tfds.core.DatasetInfo(
        builder=identity,
        features=features,
        description=description,
        metadata=tfds.core.MetadataDict(statistics=statistics),
    )
    info.set_file_format(schema.FILE_FORMAT)
    split = splits.SplitInfo(
        name=schema.SPLIT,
        shard_lengths=list(shard_lengths),
        num_bytes=num_bytes,
        filename_template=_template(directory, name),
    )
    info.set_splits(splits.SplitDict([split]))
    aside = rlds_files.temporary(directory / "metadata")
    aside.mkdir()
    info.write_to_directory(aside)
    files = sorted(
        aside.iterdir(), key=lambda f: (f.name == rlds_files.DATASET_INFO, f)
    )
    rlds_files.write_json(directory / rlds_files.MANIFEST, manifest, durable=True)
    for file in files:
        rlds_files.commit(file, directory / file.name)
    shutil.rmtree(aside)
