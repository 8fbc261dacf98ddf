"""Extension of a finished data set by further episodes, aside until it is whole.

The longer data set is collected in a hidden directory within the finished one, which
stays as it is and readable. It begins with links to the files that hold the same
episodes; those of a last file that was not full are copied into the longer one. Once it
is finished its files replace those outside, `dataset_info.json` last. A kill at any
moment leaves what the same command resumes.
"""

from __future__ import annotations

import os
import pathlib
import shutil

from datasets.rlds import files, schema

_DIRECTORY = ".extension"


def place(directory: pathlib.Path, settings: schema.Settings) -> pathlib.Path:
    """Returns where files of the data set of these settings are to be written.

    Returns:
      `directory`, or the hidden one within it if `directory` has fewer episodes.
    """
    is_longer = 0 < recorded_episodes(directory) < settings.episodes
    return directory / _DIRECTORY if is_longer else directory


def recorded_episodes(directory: pathlib.Path) -> int:
    """Returns the number of episodes in the manifest's settings; 0 without them."""
    try:
        recorded = files.read_manifest(directory).get("settings", {}).get("episodes", 0)
    except FileNotFoundError:
        return 0
    return recorded if isinstance(recorded, int) else 0


def check(directory: pathlib.Path, settings: schema.Settings) -> None:
    """Raises ValueError unless `directory` may become a data set of these settings.

    Args:
      directory: directory of a data set whose other settings are these.
      settings: settings with another number of episodes.
    """
    recorded = recorded_episodes(directory)
    if recorded < 1:
        raise ValueError(
            f"{directory}: {files.MANIFEST} has no number of episodes in its settings"
        )
    if settings.episodes < recorded:
        raise ValueError(
            f"{directory} holds, by its {files.MANIFEST}, a data set with episodes "
            f"{recorded}, not {settings.episodes}: one is extended and never cut; "
            f"valid: from {recorded}"
        )
    if not (directory / files.DATASET_INFO).exists():
        raise ValueError(
            f"{directory} is to hold episodes {recorded}, not {settings.episodes}, and "
            f"is not finished: finish it with {recorded}, then extend it"
        )
    begun = recorded_episodes(directory / _DIRECTORY)
    if begun not in (0, settings.episodes):
        raise ValueError(
            f"{directory} is being extended to episodes {begun}, not "
            f"{settings.episodes}: finish that first"
        )


def is_pending(directory: pathlib.Path) -> bool:
    """Returns whether an extension is finished, and not all its files are in place."""
    return (directory / _DIRECTORY / files.DATASET_INFO).exists()


def begin(directory: pathlib.Path, settings: schema.Settings) -> None:
    """Makes the hidden directory, with the files of the episodes that are there.

    Args:
      directory: directory of the finished data set.
      settings: those of the longer data set.
    """
    aside = directory / _DIRECTORY
    if (aside / files.MANIFEST).exists():
        return
    shutil.rmtree(aside, ignore_errors=True)  # of a kill before its manifest
    aside.mkdir()
    manifest = files.read_manifest(directory)
    full, rest = divmod(recorded_episodes(directory), settings.episodes_per_shard)
    before = full + bool(rest)
    for shard in range(full):
        source = directory / schema.shard_name(shard, before)
        if source.exists():  # else its episodes are collected again
            _link(source, aside / schema.shard_name(shard, settings.num_shards))
    kept = ("dataset", "schema_version", "code_versions", "collection")
    started = {name: manifest[name] for name in kept if name in manifest}
    started["settings"] = settings.to_dict()
    files.write_json(aside / files.MANIFEST, started, durable=True)


def begun_file(
    directory: pathlib.Path, settings: schema.Settings
) -> pathlib.Path | None:
    """Returns the finished data set's last file if it is not full.

    Args:
      directory: the hidden directory; None is returned for any other.
      settings: those of the longer data set.
    """
    if directory.name != _DIRECTORY:
        return None
    full, rest = divmod(
        recorded_episodes(directory.parent), settings.episodes_per_shard
    )
    name = schema.shard_name(full, full + 1)
    return directory.parent / name if rest else None


def _link(source: pathlib.Path, target: pathlib.Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        with files.aside(target, durable=True) as copy:
            shutil.copyfile(source, copy)


def adopt(directory: pathlib.Path) -> None:
    """Puts the files of a finished extension in place; resumes after a kill."""
    aside = directory / _DIRECTORY
    # The old description goes with the old files until the new one replaces it.
    for path in sorted(
        aside.iterdir(), key=lambda p: (p.name == files.DATASET_INFO, p)
    ):
        if path.is_file():
            files.commit(path, directory / path.name)


def clean_up(directory: pathlib.Path, settings: schema.Settings) -> None:
    """Removes what a finished extension has left.

    Args:
      directory: directory of the complete data set of these settings.
      settings: its settings.
    """
    if recorded_episodes(directory / _DIRECTORY) > settings.episodes:
        return  # an unfinished extension, to be resumed
    shutil.rmtree(directory / _DIRECTORY, ignore_errors=True)
    shards = range(settings.num_shards)
    valid = {schema.shard_name(shard, settings.num_shards) for shard in shards}
    for path in directory.glob(schema.shard_glob()):
        if path.name not in valid:
            path.unlink()
