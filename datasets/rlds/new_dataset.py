"""Writes a new data set, one episode after another, with manifest and statistics."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from datasets.rlds import reader, schema, statistics, writer

EPISODES_PER_SHARD = 10
# Columns of the manifest, and the names of the metadata that they hold.
_COLUMNS = {
    "episode_indices": "episode_index",
    "episode_seeds": "seed",
    "episode_successes": "success",
}


class NewDataset:
    """Data set that is being written into an empty directory."""

    def __init__(
        self,
        directory: pathlib.Path,
        features: tfds.features.FeaturesDict,
        name: str = schema.DATASET_NAME,
        description: str = schema.DESCRIPTION,
    ) -> None:
        """Starts without episodes.

        Args:
          directory: directory for its files alone.
          features: features of an example, `steps` and perhaps `episode_metadata`.
          name: name of the data set, with which its files' names begin.
          description: description for people.
        """
        self._directory = directory
        self._features = features
        self._name, self._description = name, description
        self._statistics = statistics.StepStatistics()
        self._records: list[bytes] = []
        self._lengths: list[int] = []
        self._rows: list[dict[str, Any]] = []
        self._num_bytes = self._control_steps = 0

    @property
    def num_episodes(self) -> int:
        """The number of episodes that were added."""
        return len(self._rows)

    def add(self, record: bytes, episode: reader.Episode) -> None:
        """Adds an episode: its serialised example, and what that holds."""
        self._statistics.add({**episode.steps, "observation": episode.observation})
        row = {k: v for k, v in episode.metadata.items() if k in _COLUMNS.values()}
        if "reward" in episode.steps:
            row["return"] = float(np.sum(episode.steps["reward"][:-1]))
        self._rows.append(row)
        self._num_bytes += len(record)
        self._control_steps += max(len(episode.steps["action"]) - 1, 0)
        self._records.append(record)
        if len(self._records) == EPISODES_PER_SHARD:
            self._flush()

    def finish(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Writes what is left and the metadata.

        Args:
          manifest: what `manifest.json` holds besides counts and a column for each of
            the episodes' indices, seeds, successes and returns, where they have any.

        Returns:
          The whole manifest.
        """
        if self._records:
            self._flush()
        for shard in range(len(self._lengths)):
            self._shard(shard).rename(
                self._directory
                / schema.shard_name(shard, len(self._lengths), self._name)
            )
        whole = {**manifest, **self._counts()}
        writer.write_metadata(
            self._directory,
            self._features,
            self._lengths,
            self._num_bytes,
            whole,
            self._statistics.as_dict(),
            self._name,
            self._description,
        )
        return whole

    def _shard(self, shard: int) -> pathlib.Path:
        return self._directory / f"shard_{shard}"

    def _flush(self) -> None:
        writer.write_shard(self._shard(len(self._lengths)), self._records)
        self._lengths.append(len(self._records))
        self._records = []

    def _counts(self) -> dict[str, Any]:
        count = len(self._rows)
        counts: dict[str, Any] = {
            "episodes": count,
            "control_steps": self._control_steps,
            "bytes": self._num_bytes,
        }
        for column, name in (*_COLUMNS.items(), ("episode_returns", "return")):
            values = [row[name] for row in self._rows if name in row]
            if len(values) == count:
                counts[column] = values
        if "episode_successes" in counts:
            counts["successes"] = sum(counts["episode_successes"])
            counts["success_rate"] = counts["successes"] / count
        returns = counts.get("episode_returns", ())
        if len(returns) and np.isfinite(returns).all():
            counts["mean_return"] = sum(returns) / count
        else:
            counts.pop("episode_returns", None)  # JSON has no infinity
        return counts
