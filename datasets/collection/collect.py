"""Collects or extends a data set by several processes; resumes after an interruption.

An episode depends on the settings and its index alone, and a shard holds fixed episodes
(`shard_assignment`): neither the number of processes nor an interruption changes the
data. A shard is written when it is full; an interruption loses unwritten episodes.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import pathlib
import shutil
import time
from collections.abc import Callable
from typing import Any

import tqdm

from datasets import experts
from datasets.collection import (
    code_version,
    extension,
    rollout,
    shard_assignment,
    worker_pool,
)
from datasets.rlds import files, schema, statistics
from environments import EnvironmentConfig

# Values of settings that an older manifest lacks.
_DEFAULTS = schema.Settings(EnvironmentConfig(), expert="", episodes=1).to_dict()
_FIRST_VERSION = "1.0.0"  # version of manifests that record none


class CollectionError(RuntimeError):
    """Raised when a worker dies; the message tells which part is complete."""


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
            collection = _Collection(place, work, processes)
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
        and not _missing(directory, settings)
    )


def shards_written(directory: pathlib.Path, settings: schema.Settings) -> int:
    """Counts the files that are finished, of an extension among them."""
    place = extension.place(directory, settings)
    return settings.num_shards - len(_missing(place, settings))


def _shard(directory: pathlib.Path, settings: schema.Settings, i: int) -> pathlib.Path:
    return directory / schema.shard_name(i, settings.num_shards)


def _missing(directory: pathlib.Path, settings: schema.Settings) -> list[int]:
    return [
        i
        for i in range(settings.num_shards)
        if not _shard(directory, settings, i).exists()
    ]


class _Collection:
    """A collecting run in one directory."""

    def __init__(
        self, directory: pathlib.Path, work: worker_pool.Work, processes: int
    ) -> None:
        self._directory = directory
        self._work = work
        self._settings = settings = work.settings
        self._processes = processes
        before: dict[str, Any] = {}
        with contextlib.suppress(FileNotFoundError):
            before = files.read_manifest(directory)
        # Time and steps of earlier runs, up to their last finished shard.
        past = before.get("collection", {})
        self._past_seconds = float(past.get("seconds", 0.0))
        self._past_steps = int(past.get("control_steps", 0))
        self._steps, self._started = 0, time.monotonic()
        self._manifest: dict[str, Any] = {
            "dataset": schema.DATASET_NAME,
            "schema_version": schema.VERSION,
            "settings": settings.to_dict(),
            "code_versions": before.get("code_versions", []),
            "collection": past,
        }

    def run(self, progress: bool) -> None:
        """Collects the shards that are missing."""
        self._started = time.monotonic()
        missing = _missing(self._directory, self._settings)
        if not missing:
            return
        # While files are missing, a once complete data set is not complete.
        (self._directory / files.DATASET_INFO).unlink(missing_ok=True)
        version, versions = code_version.describe(), self._manifest["code_versions"]
        if version not in versions:
            self._manifest["code_versions"] = [*versions, version]
        self._write_manifest()
        remaining = sum(len(self._settings.shard_episodes(s)) for s in missing)
        processes = min(self._processes, remaining)
        try:
            with worker_pool.Pool(
                self._work, processes, self._directory / files.LOGS
            ) as pool:
                failures = self._collect(pool, missing, progress)
        finally:
            files.remove_temporaries(self._directory)
        if failures:
            done = shards_written(self._directory, self._settings)
            raise CollectionError(
                f"{'; '.join(failures)}; {done} of {self._settings.num_shards} files "
                "are written and kept"
            )
        shutil.rmtree(self._directory / files.LOGS, ignore_errors=True)

    def _collect(
        self, pool: worker_pool.Pool, missing: list[int], progress: bool
    ) -> list[str]:
        from datasets.rlds import writer  # TensorFlow loads while the workers start.

        settings = self._settings
        written, _ = self._read(set(range(settings.num_shards)) - set(missing))
        keeper = shard_assignment.make(
            settings,
            {k: [s.index for s in read] for k, read in written.items()},
            self._begun(),
        )
        successes = sum(s.success for read in written.values() for s in read)
        serialize = writer.Serializer(self._features())
        bar = tqdm.tqdm(
            total=settings.episodes,
            initial=sum(map(len, written.values())) + keeper.num_begun,
            unit="episode",
            dynamic_ncols=True,
            disable=not progress,
            smoothing=0.05,
        )

        def on_episode(example: dict[str, Any]) -> bool:
            nonlocal successes
            summary = schema.summary(example)
            kept = summary.success or settings.keep == "all"
            record = serialize(example) if kept else None
            self._steps += summary.steps
            for shard, records in keeper.add(summary.index, record):
                path = _shard(self._directory, settings, shard)
                writer.write_shard(path, records)
                self._write_manifest()
            successes += summary.success
            rate = self._steps / (time.monotonic() - self._started)
            bar.set_postfix_str(
                f"success {100 * successes / keeper.tried:.0f} % of {keeper.tried}, "
                f"{rate:.0f} control steps/s",
                refresh=False,
            )
            bar.update(min(int(kept), settings.episodes - bar.n))
            return keeper.complete

        with bar:
            return pool.run(keeper.indices(), on_episode)

    def _begun(self) -> dict[int, bytes]:
        """Reads the episodes of a file that an extension makes longer."""
        path = extension.begun_file(self._directory, self._settings)
        if path is None or not path.exists():
            return {}
        from datasets.rlds import writer

        parse = writer.Parser(self._features())
        read = writer.read_shard(path, parse)
        return {summary.index: record for summary, _, record in read}

    def finish(self) -> dict[str, Any]:
        """Writes the metadata of the whole data set and returns the manifest."""
        from datasets.rlds import writer

        settings = self._settings
        steps = statistics.StepStatistics()
        by_shard, num_bytes = self._read(set(range(settings.num_shards)), steps)
        summaries = [s for shard in sorted(by_shard) for s in by_shard[shard]]
        count, successes = len(summaries), sum(s.success for s in summaries)
        # With successes only, the last episode kept is the last one tried.
        tried = count if settings.keep == "all" else summaries[-1].index + 1
        self._manifest |= {
            "expert_phases": list(self._expert_phases()),
            "episodes": count,
            "control_steps": sum(s.steps for s in summaries),
            "bytes": num_bytes,
            "tried": tried,
            "successes": successes,
            "success_rate": successes / tried,
            "success_by_combination": _by_combination(settings, summaries, tried),
            "mean_return": sum(s.episode_return for s in summaries) / count,
            "episode_indices": [s.index for s in summaries],
            "episode_seeds": [s.seed for s in summaries],
            "episode_successes": [s.success for s in summaries],
            "episode_returns": [s.episode_return for s in summaries],
        }
        lengths = [len(settings.shard_episodes(i)) for i in range(settings.num_shards)]
        writer.write_metadata(
            self._directory,
            self._features(),
            lengths,
            num_bytes,
            self._manifest,
            steps.as_dict(),
        )
        self._environment.close()
        return self._manifest

    @functools.cached_property
    def _environment(self) -> Any:
        return self._work.make_environment()

    def _features(self) -> Any:
        environment = self._environment
        return schema.features(
            environment.observation_spec(), environment.action_spec()
        )

    def _expert_phases(self) -> tuple[str, ...]:
        return self._work.make_expert(self._environment).PHASES

    def _read(
        self, shards: set[int], steps: statistics.StepStatistics | None = None
    ) -> tuple[dict[int, list[schema.EpisodeSummary]], int]:
        """Reads and checks files.

        Args:
          shards: numbers of the files to read.
          steps: statistics to which every episode is added, or None.

        Returns:
          Summaries of the episodes of each shard, and the size of all in bytes.

        Raises:
          ValueError: a file does not hold the episodes that it must hold.
        """
        if not shards:
            return {}, 0
        from datasets.rlds import writer

        parse = writer.Parser(self._features())
        summaries, num_bytes, last = {}, 0, -1
        for shard in sorted(shards):
            path = _shard(self._directory, self._settings, shard)
            read = []
            for summary, arrays, record in writer.read_shard(path, parse):
                read.append(summary)
                num_bytes += len(record)
                if steps is not None:
                    steps.add(arrays)
            indices = [summary.index for summary in read]
            if not shard_assignment.fits(self._settings, shard, indices, last):
                raise ValueError(
                    f"{path} holds the episodes {indices}: delete it and collect again"
                )
            summaries[shard] = read
            last = indices[-1]
        return summaries, num_bytes

    def _write_manifest(self) -> None:
        seconds = self._past_seconds + time.monotonic() - self._started
        steps = self._past_steps + self._steps
        self._manifest["collection"] = {
            "seconds": round(seconds, 3),
            "control_steps": steps,
            "control_steps_per_second": round(steps / seconds, 3) if steps else 0.0,
            "processes": self._processes,
        }
        files.write_json(self._directory / files.MANIFEST, self._manifest, durable=True)


def _by_combination(
    settings: schema.Settings, summaries: list[schema.EpisodeSummary], tried: int
) -> list[dict[str, Any]]:
    """Returns a row for each task and object set that was tried."""
    combinations = settings.combinations
    successes = collections.Counter(
        summary.index % len(combinations) for summary in summaries if summary.success
    )
    rows = []
    for i, (task, object_set) in enumerate(combinations[:tried]):
        count = len(range(i, tried, len(combinations)))
        rows.append(
            {
                "task": task,
                "object_set": object_set,
                "tried": count,
                "successes": successes[i],
                "success_rate": successes[i] / count,
            }
        )
    return rows
