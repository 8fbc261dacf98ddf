"""Joins data sets of the same features into one, with the parts in its manifest."""

from __future__ import annotations

import dataclasses
import heapq
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tqdm

from datasets.rlds import files, new_dataset, reader

WHERE = ("success",)
_REQUIRED = ("observation", "action")
_INDEX = "episode_index"


def merge(
    directories: Sequence[str],
    out: pathlib.Path,
    where: str | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Writes the episodes of several data sets into a new one.

    Records are copied as they are, but for `episode_index`, which counts anew. The
    parts are mixed in proportion to their sizes, so that learners, which hold out the
    last tenth, hold out some of each.

    Args:
      directories: data sets, two or more, or one with `where`.
      out: directory to make.
      where: one of `WHERE`, a flag of the episodes' metadata that they must have; None
        takes all.
      progress: whether to show a bar on standard error.

    Returns:
      The manifest. `parts` has an entry for each data set: directory, number of
      episodes taken and there, and its own manifest without what it says of single
      episodes. `episode_parts` and `episode_origins` name, by episode, its part and its
      index there.

    Raises:
      ValueError: in one line, why they cannot be merged; nothing is written.
    """
    sources = _open(directories, out, where)
    part_of: list[int] = []
    origins: list[int] = []
    streams = [_numbered(part, source) for part, source in enumerate(sources)]
    total = sum(source.num_episodes for source in sources)
    with files.new_directory(out) as aside:
        data = new_dataset.NewDataset(
            aside, sources[0].features, sources[0].name, sources[0].description
        )
        bar = tqdm.tqdm(
            total=total, unit="episode", dynamic_ncols=True, disable=not progress
        )
        with bar:
            for _, part, episode, record in heapq.merge(*streams, key=lambda s: s[0]):
                bar.update()
                if where and not episode.metadata.get(where):
                    continue
                part_of.append(part)
                origins.append(episode.index)
                data.add(*_renumbered(record, episode, data.num_episodes))
        if not data.num_episodes:
            raise ValueError(f"none of the {total} episodes has {where}")
        return data.finish(_manifest(sources, where, part_of, origins))


def _open(
    directories: Sequence[str], out: pathlib.Path, where: str | None
) -> list[reader.Records]:
    if where is not None and where not in WHERE:
        raise ValueError(f"where is {where!r}; valid: {', '.join(WHERE)}")
    if len(directories) < (1 if where else 2):
        raise ValueError("merge takes two or more data sets; one with --where")
    if out.exists():
        raise ValueError(f"{out} exists; give another directory")
    resolved = [pathlib.Path(directory).resolve() for directory in directories]
    for i, path in enumerate(resolved):
        if path in resolved[:i]:
            raise ValueError(f"{directories[i]} is given twice")
    sources = [reader.Records(directory, _REQUIRED) for directory in directories]
    for source in sources[1:]:
        difference = _difference(sources[0], source)
        if difference:
            raise ValueError(
                f"{sources[0].directory} and {source.directory} differ: {difference}; "
                "valid: data sets of the same features"
            )
    for source in sources:
        flags = reader.flattened(source.features)
        if where and f"episode_metadata/{where}" not in flags:
            raise ValueError(f"{source.directory} has no {where} in episode_metadata")
    return sources


def _difference(one: reader.Records, other: reader.Records) -> str | None:
    """Describes the first feature that two data sets do not have alike."""
    found = _described(one), _described(other)
    for name in sorted(found[0].keys() | found[1].keys()):
        texts = [f[name][0] if name in f else "absent" for f in found]
        if texts[0] != texts[1] or found[0][name] != found[1][name]:
            return f"{name} is {texts[0]} in the first, {texts[1]} in the second"
    return None


def _described(source: reader.Records) -> dict[str, tuple[str, str]]:
    """Returns by name how each feature is seen, and how it is stored."""
    named = dict(source.features)
    steps = reader.flattened(named.pop("steps").feature)
    named = {**steps, **reader.flattened(named)}
    return {
        name: (_text(feature.get_tensor_info()), repr(feature.get_serialized_info()))
        for name, feature in named.items()
    }


def _text(info: Any) -> str:
    if not hasattr(info, "shape"):  # of a sequence of dictionaries
        return repr(info)
    return f"{np.dtype(info.np_dtype).name} {list(info.shape)}"


def _numbered(
    part: int, source: reader.Records
) -> Iterator[tuple[float, int, reader.Episode, bytes]]:
    """Yields a part's episodes, each with how far it lies in its data set, 0 to 1."""

    def refuse(problem: reader.Problem) -> None:
        raise ValueError(f"data set {source.directory} is damaged: {problem}")

    for position, (episode, record) in enumerate(source.examples(refuse)):
        yield (position + 0.5) / source.num_episodes, part, episode, record


def _renumbered(
    record: bytes, episode: reader.Episode, index: int
) -> tuple[bytes, reader.Episode]:
    """Sets the index of an episode where it has one."""
    if _INDEX not in episode.metadata:
        return record, episode
    example = tf.train.Example.FromString(record)
    feature = example.features.feature[f"episode_metadata/{_INDEX}"]
    feature.int64_list.value[:] = [index]
    metadata = {**episode.metadata, _INDEX: index}
    return (
        example.SerializeToString(deterministic=True),
        dataclasses.replace(episode, metadata=metadata),
    )


def _manifest(
    sources: Sequence[reader.Records],
    where: str | None,
    part_of: Sequence[int],
    origins: Sequence[int],
) -> dict[str, Any]:
    """Returns what `NewDataset.finish` does not count itself."""
    manifests = [_read_manifest(source.directory) for source in sources]
    parts = [
        {
            "directory": str(source.directory),
            "episodes": part_of.count(part),
            "of": source.num_episodes,
            "manifest": {
                name: value
                for name, value in manifest.items()
                if not name.startswith("episode_")
            },
        }
        for part, (source, manifest) in enumerate(zip(sources, manifests, strict=True))
    ]
    versions = [v for m in manifests for v in m.get("code_versions", ())]
    settings = [m.get("settings", {}) for m in manifests]
    return {
        "dataset": "merged",
        "where": where,
        # Those that all parts share.
        "settings": {
            name: value
            for name, value in settings[0].items()
            if name != "episodes"
            and all(name in s and s[name] == value for s in settings)
        },
        "code_versions": list(dict.fromkeys(versions)),
        "parts": parts,
        "episode_parts": list(part_of),
        "episode_origins": list(origins),
    }


def _read_manifest(directory: pathlib.Path) -> dict[str, Any]:
    try:
        return files.read_manifest(directory)
    except FileNotFoundError:  # Data sets made elsewhere have none.
        return {}
