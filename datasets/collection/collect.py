"""Collects or extends a data set by several processes; resumes after an interruption.

An episode depends on the settings and its index alone, and a shard holds fixed episodes
(`shard_assignment`): neither the number of processes nor an interruption changes the
data. A shard is written when it is full; an interruption loses unwritten episodes.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from typing import Any

from datasets import experts
from datasets.collection import extension, rollout, shard_files, worker_pool
from datasets.collection.collection_run import CollectionRun
from datasets.rlds import files, schema
from environments import EnvironmentConfig

# Values of settings that an older manifest lacks.
_DEFAULTS = schema.Settings(EnvironmentConfig(), expert="", episodes=1).to_dict()
_FIRST_VERSION = "1.0.0"  # version of manifests that record none


def collect(
    directory: str | os.PathLike[str],
    settings: schema.Settings,
    make_environment: Callable[[], Any] | None = None,
    make_expert: Callable[[Any], Any] | None = None,
    processes: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Collects the missing part of a data set and returns its manifest.

    A finished data set of fewer episodes is extended (`extension`).

    Args:
      directory: new directory, or that of an unfinished or complete data set of the
        same settings, or of a complete one of fewer episodes.
      settings: settings that decide the data.
      make_environment: builds the environment; picklable. None takes the settings'.
      make_expert: builds the expert of an environment; picklable. None takes the
        settings'.
      processes: number of processes; one per core by default.
      progress: whether to show a bar on standard error.

    Raises:
      ValueError: the directory cannot be resumed or the expert is unknown, and nothing
        was changed; or only successes are kept and no episode succeeds
        (`shard_assignment.PATIENCE`).
      CollectionError: a worker died; finished shards are kept.
      KeyboardInterrupt: passed on; finished shards are kept.
    """
    directory = pathlib.Path(directory)
    check(directory, settings)
    if make_environment is None:
        make_environment = rollout.environment_maker(settings)
    if make_expert is None:
        tasks = [task for task, _ in settings.combinations]
        make_expert = experts.factory(settings.expert, *tasks)
    processes = processes or len(os.sched_getaffinity(0))
    if processes < 1:
        raise ValueError(f"processes is {processes}; valid: whole numbers from 1")
    directory.mkdir(parents=True, exist_ok=True)
    with files.locked(directory):
        check(directory, settings)
        files.remove_temporaries(directory)
        if extension.is_pending(directory):
            extension.adopt(directory)
        if not is_complete(directory, settings):
            place = extension.place(directory, settings)
            if place != directory:
                extension.begin(directory, settings)
                files.remove_temporaries(place)
            work = worker_pool.Work(settings, make_environment, make_expert)
            collection = CollectionRun(place, work, processes)
            collection.run(progress)
            manifest = collection.finish()
            if place == directory:
                return manifest
            extension.adopt(directory)
        extension.clean_up(directory, settings)
        return files.read_manifest(directory)


def check(directory: pathlib.Path, settings: schema.Settings) -> None:
    """Raises ValueError if `directory` holds anything but this data set."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory")
    if not (directory / files.MANIFEST).exists():
        if any(not f.name.startswith(".") for f in directory.iterdir()):
            raise ValueError(
                f"{directory} is not empty and holds no data set of this command"
            )
        return
    manifest = files.read_manifest(directory)
    if manifest.get("dataset", schema.DATASET_NAME) != schema.DATASET_NAME:
        raise ValueError(
            f"{directory} holds a data set that was {manifest['dataset']}, and not "
            "collected: give another directory"
        )
    version = manifest.get("schema_version", _FIRST_VERSION)
    if version != schema.VERSION:
        raise ValueError(
            f"{directory} holds, by its {files.MANIFEST}, a data set of format "
            f"{version}, and this writes {schema.VERSION}: give another directory"
        )
    recorded = manifest.get("settings", {})
    for name, value in settings.to_dict().items():
        if name == "episodes":
            continue
        # A setting added after the manifest was written had its default.
        old = recorded.get(name, _DEFAULTS.get(name))
        if old != value:
            raise ValueError(
                f"{directory} holds, by its {files.MANIFEST}, a data set with {name} "
                f"{old!r}, not {value!r}: continue with the same settings or give "
                "another directory"
            )
    if extension.recorded_episodes(directory) != settings.episodes:
        extension.check(directory, settings)


def is_complete(directory: pathlib.Path, settings: schema.Settings) -> bool:
    """Returns whether `directory` holds the complete data set with its statistics."""
    written = all(
        (directory / f).exists() for f in (files.DATASET_INFO, files.METADATA)
    )
    return (
        written
        and extension.recorded_episodes(directory) == settings.episodes
        and not extension.is_pending(directory)
        and not shard_files.missing(directory, settings)
    )
