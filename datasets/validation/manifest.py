"""Checks of a data set's manifest and statistics against its episodes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from datasets.rlds import files, reader, statistics

_MANIFEST = reader.Place(files.MANIFEST)
_RETURN_TOLERANCE = 1e-3
_STATISTICS_TOLERANCE = 1e-4  # relative to the standard deviation


def check_directory(
    source: reader.Records, manifest: Mapping[str, Any]
) -> Iterator[reader.Problem]:
    """Yields the problems that can be seen without reading an episode.

    Args:
      source: the data set.
      manifest: `manifest.json`; empty where there is none.
    """
    named = {f.name for f in source.files}
    for path in sorted(source.directory.glob("*.tfrecord*")):
        if path.name not in named:
            text = f"is not of this data set, says {files.DATASET_INFO}"
            yield reader.Problem(reader.Place(path.name), text, warning=True)
    count = manifest.get("episodes", source.num_episodes)
    if count != source.num_episodes:
        text = (
            f"counts {count} episodes, but {files.DATASET_INFO} {source.num_episodes}"
        )
        yield reader.Problem(_MANIFEST, text)
    if manifest and not source.statistics:
        text = "lacks its statistics: the command that collected it adds them"
        yield reader.Problem(reader.Place(files.METADATA), text, warning=True)


def check_episodes(
    manifest: Mapping[str, Any], rows: Sequence[Any], complete: bool
) -> Iterator[reader.Problem]:
    """Yields the contradictions between the manifest and the episodes.

    Args:
      manifest: manifest of `collect`; empty where there is none.
      rows: `inspection.Row`s.
      complete: whether every episode could be read.
    """
    says = {"seed": "seeds", "success": "successes", "episode_return": "returns"}
    lists = {row: manifest.get(f"episode_{name}") for row, name in says.items()}
    indices = manifest.get("episode_indices")
    if not isinstance(indices, list):
        return
    position = {index: i for i, index in enumerate(indices)}
    for row in rows:
        if row.index is None:
            continue
        if row.index not in position:
            text = f"is not among the episodes of {files.MANIFEST}"
            yield reader.Problem(row.place, text)
            continue
        for name, values in lists.items():
            of_episode = getattr(row, name)
            if not isinstance(values, list) or len(values) != len(indices):
                continue
            value = values[position[row.index]]
            if not _same(value, of_episode):
                field = name.removeprefix("episode_")
                text = f"its {field} is {of_episode}, but {files.MANIFEST} says {value}"
                yield reader.Problem(row.place, text)
    if not complete:
        return
    present = {row.index for row in rows}
    for index in sorted(position.keys() - present):
        yield reader.Problem(_MANIFEST, f"episode {index} is in no file")
    sums = {
        "successes": sum(bool(row.success) for row in rows),
        "control_steps": sum(row.steps for row in rows),
    }
    for name, value in sums.items():
        if manifest.get(name, value) != value:
            text = f"counts {manifest[name]} {name}, but the episodes have {value}"
            yield reader.Problem(_MANIFEST, text.replace("_", " "))


def check_statistics(
    said: Mapping[str, Any], computed: statistics.StepStatistics
) -> Iterator[reader.Problem]:
    """Yields the differences between the metadata's statistics and the episodes'.

    Args:
      said: statistics in the metadata; empty where there are none.
      computed: statistics of all episodes.
    """
    if not said:
        return
    for name, values in computed.as_dict().items():
        scale = np.asarray(values["std"]) + 1e-6
        wrong = name not in said or any(
            not _close(said[name].get(statistic), value, scale)
            for statistic, value in values.items()
        )
        if wrong:
            text = f"has other statistics of {name} than the episodes"
            yield reader.Problem(reader.Place(files.METADATA), text)


def _close(said: Any, computed: Any, scale: np.ndarray) -> bool:
    try:
        said = np.asarray(said, np.float64)
    except (TypeError, ValueError):
        return False
    if said.shape != np.shape(computed):
        return False
    return bool(
        (np.abs(said - computed) <= _STATISTICS_TOLERANCE * np.max(scale)).all()
    )


def _same(said: Any, computed: Any) -> bool:
    if isinstance(computed, float) and isinstance(said, int | float):
        return math.isclose(said, computed, rel_tol=1e-5, abs_tol=_RETURN_TOLERANCE)
    return computed is None or said == computed
