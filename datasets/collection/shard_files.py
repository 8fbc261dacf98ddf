"""Files of episodes of a collection: their paths, and which are finished."""

from __future__ import annotations

import pathlib

from datasets.collection import extension
from datasets.rlds import schema


def count(directory: pathlib.Path, settings: schema.Settings) -> int:
    """Counts the files that are finished, of an extension among them."""
    place = extension.place(directory, settings)
    return settings.num_shards - len(missing(place, settings))


def path_of(
    directory: pathlib.Path, settings: schema.Settings, shard: int
) -> pathlib.Path:
    """Returns the path of a file by its number."""
    return directory / schema.shard_name(shard, settings.num_shards)


def missing(directory: pathlib.Path, settings: schema.Settings) -> list[int]:
    """Returns the numbers of the files that are not finished."""
    return [
        i
        for i in range(settings.num_shards)
        if not path_of(directory, settings, i).exists()
    ]
