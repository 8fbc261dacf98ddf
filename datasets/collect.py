"""Collects a data set: over several processes, to be interrupted and continued.

An episode depends on the settings and its index alone, a shard holds fixed episodes:
neither the number of processes nor an interruption changes the data. A shard is written
when its last episode has come in; an interruption loses what is not written yet.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

import tqdm

from datasets import paths, rollout, schema, workers


class CollectionError(RuntimeError):
    """A worker died; what the message says is whole, the rest can be continued."""


def collect(
    directory: str | os.PathLike[str],
    settings: schema.Settings,
    make_environment: Callable[[], Any],
    make_expert: Callable[[Any], Any],
    processes: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Collects what is missing of the data set and returns its manifest.

    Args:
      directory: new, or of an unfinished or whole data set of the same settings.
      settings: what decides the data.
      make_environment: builds the environment; picklable.
      make_expert: builds the expert of an environment; picklable.
      processes: one a core by default.
      progress: whether to show a bar on standard error.

    Raises:
      ValueError: a directory that cannot be continued; nothing in it was changed.
      CollectionError: a worker died; finished shards are kept.
      KeyboardInterrupt: passed on; finished shards are kept.
    """
    directory = pathlib.Path(directory)
    check(directory, settings)
    processes = processes or len(os.sched_getaffinity(0))
    if processes < 1:
        raise ValueError(f"processes is {processes}; valid: whole numbers from 1")
    directory.mkdir(parents=True, exist_ok=True)
    with paths.locked(directory):
        check(directory, settings)
        paths.remove_temporaries(directory)
        if is_complete(directory, settings):
            return paths.read_manifest(directory)
        work = workers.Work(settings, make_environment, make_expert)
        collection = _Collection(directory, work, processes)
        collection.run(progress)
        return collection.finish()


def check(directory: pathlib.Path, settings: schema.Settings) -> None:
    """Raises ValueError where `directory` holds anything but this data set."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory")
    if not (directory / paths.MANIFEST).exists():
        if any(not f.name.startswith(".") for f in directory.iterdir()):
            raise ValueError(
                f"{directory} is not empty and holds no data set of this command"
            )
        return
    there = paths.read_manifest(directory).get("settings", {})
    for name, value in dataclasses.asdict(settings).items():
        if there.get(name) != value:
            raise ValueError(
                f"{directory} holds a data set with {name} {there.get(name)!r}, not "
                f"{value!r}: continue with the same settings or give another directory"
            )


def is_complete(directory: pathlib.Path, settings: schema.Settings) -> bool:
    """Whether `directory` holds the whole data set."""
    return (directory / paths.DATASET_INFO).exists() and not _missing(
        directory, settings
    )


def shards_written(directory: pathlib.Path, settings: schema.Settings) -> int:
    """Number of files that are finished."""
    return settings.num_shards - len(_missing(directory, settings))


def _shard(directory: pathlib.Path, settings: schema.Settings, i: int) -> pathlib.Path:
    return directory / schema.shard_name(i, settings.num_shards)


def _missing(directory: pathlib.Path, settings: schema.Settings) -> list[int]:
    return [
        i
        for i in range(settings.num_shards)
        if not _shard(directory, settings, i).exists()
    ]


class _Collection:
    """One run over one directory."""

    def __init__(
        self, directory: pathlib.Path, work: workers.Work, processes: int
    ) -> None:
        self._directory = directory
        self._work = work
        self._settings = settings = work.settings
        self._processes = processes
        before: dict[str, Any] = {}
        with contextlib.suppress(FileNotFoundError):
            before = paths.read_manifest(directory)
        versions = before.get("code_versions", [])
        version = _code_version()
        if version not in versions:
            versions = [*versions, version]
        # Time and steps of earlier runs, as far as their last finished shard.
        past = before.get("collection", {})
        self._past_seconds = float(past.get("seconds", 0.0))
        self._past_steps = int(past.get("control_steps", 0))
        self._steps, self._started = 0, time.monotonic()
        self._manifest: dict[str, Any] = {
            "dataset": schema.DATASET_NAME,
            "settings": dataclasses.asdict(settings),
            "code_versions": versions,
        }

    def run(self, progress: bool) -> None:
        """Collects the shards that are missing."""
        self._started = time.monotonic()
        missing = _missing(self._directory, self._settings)
        self._write_manifest()
        if not missing:
            return
        indices = [i for s in missing for i in self._settings.shard_episodes(s)]
        processes = min(self._processes, len(indices))
        try:
            with workers.Pool(
                self._work, processes, self._directory / paths.LOGS
            ) as pool:
                failures = self._collect(pool, missing, indices, progress)
        finally:
            paths.remove_temporaries(self._directory)
        if failures:
            done = shards_written(self._directory, self._settings)
            raise CollectionError(
                f"{'; '.join(failures)}; {done} of {self._settings.num_shards} files "
                "are written and kept"
            )
        shutil.rmtree(self._directory / paths.LOGS, ignore_errors=True)

    def _collect(
        self,
        pool: workers.Pool,
        missing: list[int],
        indices: list[int],
        progress: bool,
    ) -> list[str]:
        from datasets import builder  # TensorFlow loads while the workers start.

        settings = self._settings
        there = set(range(settings.num_shards)) - set(missing)
        summaries, _ = self._read(there)
        episodes, successes = len(summaries), sum(s.success for s in summaries)
        serialize = builder.Serializer(self._features())
        shards = {shard: {} for shard in missing}
        bar = tqdm.tqdm(
            total=settings.episodes,
            initial=episodes,
            unit="episode",
            dynamic_ncols=True,
            disable=not progress,
            smoothing=0.05,
        )

        def on_episode(example: dict[str, Any]) -> None:
            nonlocal episodes, successes
            summary = rollout.summary(example)
            shard = summary.index // settings.episodes_per_shard
            records = shards[shard]
            records[summary.index] = serialize(example)
            self._steps += summary.steps
            if len(records) == len(settings.shard_episodes(shard)):
                path = _shard(self._directory, settings, shard)
                builder.write_shard(path, [records[i] for i in sorted(records)])
                del shards[shard]
                self._write_manifest()
            episodes += 1
            successes += summary.success
            rate = self._steps / (time.monotonic() - self._started)
            bar.set_postfix_str(
                f"success {100 * successes / episodes:.0f} %, "
                f"{rate:.0f} control steps/s",
                refresh=False,
            )
            bar.update()

        with bar:
            return pool.run(indices, on_episode)

    def finish(self) -> dict[str, Any]:
        """Writes the metadata of the whole data set and returns the manifest."""
        from datasets import builder

        settings = self._settings
        summaries, num_bytes = self._read(set(range(settings.num_shards)))
        count = len(summaries)
        self._manifest |= {
            "expert_phases": list(self._expert_phases()),
            "episodes": count,
            "control_steps": sum(s.steps for s in summaries),
            "bytes": num_bytes,
            "successes": sum(s.success for s in summaries),
            "success_rate": sum(s.success for s in summaries) / count,
            "mean_return": sum(s.episode_return for s in summaries) / count,
            "episode_seeds": [s.seed for s in summaries],
            "episode_successes": [s.success for s in summaries],
            "episode_returns": [s.episode_return for s in summaries],
        }
        lengths = [len(settings.shard_episodes(i)) for i in range(settings.num_shards)]
        builder.write_metadata(
            self._directory, self._features(), lengths, num_bytes, self._manifest
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

    def _read(self, shards: set[int]) -> tuple[list[schema.EpisodeSummary], int]:
        """Reads what is there; ValueError where it is not what it has to be."""
        if not shards:
            return [], 0
        from datasets import builder

        summaries, num_bytes = [], 0
        for shard in sorted(shards):
            path = _shard(self._directory, self._settings, shard)
            read = list(builder.read_summaries(path))
            indices = [summary.index for summary, _ in read]
            if indices != list(self._settings.shard_episodes(shard)):
                raise ValueError(
                    f"{path} holds the episodes {indices}: delete it and collect again"
                )
            summaries += [summary for summary, _ in read]
            num_bytes += sum(size for _, size in read)
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
        paths.write_json(self._directory / paths.MANIFEST, self._manifest)


def _code_version() -> str:
    root = pathlib.Path(__file__).resolve().parent.parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--tags"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()
