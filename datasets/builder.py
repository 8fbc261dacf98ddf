"""The files of a data set: shards and metadata, written aside and then renamed.

The names are those TFDS gives its own, so that `tfds.builder_from_directory` reads the
directory. `dataset_info.json` is written last: where it exists, the data set is whole.
"""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core import (
    dataset_info,
    example_serializer,
    naming,
    splits,
)

from datasets import paths, schema


class Serializer:
    """Turns examples of `rollout.run_episode` into serialised `tf.train.Example`s."""

    def __init__(self, features: tfds.features.FeaturesDict) -> None:
        """Takes the features of `schema.features`."""
        self._features = features
        self._serializer = example_serializer.ExampleSerializer(
            features.get_serialized_info()
        )
        observation = features["steps"].feature["observation"]
        self._images = any(
            isinstance(f, tfds.features.Image) for f in observation.values()
        )

    def __call__(self, example: Mapping[str, Any]) -> bytes:
        """Serialises one episode; arrays that do not fit the features raise."""
        if self._images:
            encoded = self._features.encode_example(example)
        else:
            # Whole arrays are what the encoding of single steps gives after stacking
            # them, at a sixth of its cost.
            metadata = self._features["episode_metadata"]
            encoded = {
                "steps": example["steps"],
                "episode_metadata": metadata.encode_example(
                    example["episode_metadata"]
                ),
            }
        proto = self._serializer.get_tf_example(encoded)
        return proto.SerializeToString(deterministic=True)


def _template(directory: pathlib.Path) -> naming.ShardedFileTemplate:
    return naming.ShardedFileTemplate(
        data_dir=directory,
        dataset_name=schema.DATASET_NAME,
        split=schema.SPLIT,
        filetype_suffix=schema.FILE_FORMAT,
    )


def write_shard(path: pathlib.Path, records: Iterable[bytes]) -> None:
    """Writes a shard aside, flushes it to disk, then gives it its name."""
    temporary = paths.temporary(path)
    with tf.io.TFRecordWriter(str(temporary)) as writer:
        for record in records:
            writer.write(record)
    paths.commit(temporary, path)


class Parser:
    """Turns serialised examples of these features into arrays."""

    def __init__(self, features: tfds.features.FeaturesDict) -> None:
        """Takes the features of a whole example, of `schema.features` or others."""
        # Undecoded, `steps` are whole arrays and not a data set of single steps.
        skip = {"steps": tfds.decode.SkipDecoding()}

        @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
        def parse(record: tf.Tensor) -> Any:
            return features.deserialize_example(record, decoders=skip)

        self._parse = parse

    def __call__(self, record: tf.Tensor) -> dict[str, Any]:
        """Returns the example, the steps as arrays [T+1, ...], images as bytes.

        Raises:
          tf.errors.OpError, ValueError: a record that does not fit the features.
        """
        return tf.nest.map_structure(lambda x: x.numpy(), self._parse(record))


def read_shard(
    path: pathlib.Path, parse: Parser
) -> Iterator[tuple[schema.EpisodeSummary, dict[str, Any], int]]:
    """Yields the summary, the steps and the size in bytes of each episode of a shard.

    Raises:
      ValueError: for a shard that is damaged.
    """
    try:
        for record in tf.data.TFRecordDataset(str(path)):
            example = parse(record)
            summary = schema.summary(example)
            yield summary, example["steps"], len(record.numpy())
    except (tf.errors.OpError, ValueError) as e:
        raise ValueError(f"{path} is damaged: delete it and collect again") from e


def write_metadata(
    directory: pathlib.Path,
    features: tfds.features.FeaturesDict,
    shard_lengths: Sequence[int],
    num_bytes: int,
    manifest: Mapping[str, Any],
    statistics: Mapping[str, Any],
) -> None:
    """Writes all that TFDS needs to read the shards, `dataset_info.json` last.

    Args:
      directory: of the data set.
      features: of `schema.features`.
      shard_lengths: episodes of each shard, in order.
      num_bytes: of all episodes.
      manifest: becomes `manifest.json`.
      statistics: of `statistics.StepStatistics`; TFDS's readers show them as
        `builder.info.metadata["statistics"]`.
    """
    identity = dataset_info.DatasetIdentity(
        name=schema.DATASET_NAME,
        version=tfds.core.Version(schema.VERSION),
        data_dir=str(directory),
        module_name="",
    )
    info = tfds.core.DatasetInfo(
        builder=identity,
        features=features,
        description=schema.DESCRIPTION,
        metadata=tfds.core.MetadataDict(statistics=statistics),
    )
    info.set_file_format(schema.FILE_FORMAT)
    split = splits.SplitInfo(
        name=schema.SPLIT,
        shard_lengths=list(shard_lengths),
        num_bytes=num_bytes,
        filename_template=_template(directory),
    )
    info.set_splits(splits.SplitDict([split]))
    aside = paths.temporary(directory / "metadata")
    aside.mkdir()
    info.write_to_directory(aside)
    files = sorted(aside.iterdir(), key=lambda f: f.name == paths.DATASET_INFO)
    paths.write_json(directory / paths.MANIFEST, manifest)
    for file in files:
        paths.commit(file, directory / file.name)
    shutil.rmtree(aside)
