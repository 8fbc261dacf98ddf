"""A run that collects episodes into one directory, by several processes."""

from __future__ import annotations

import collections
import contextlib
import functools
import pathlib
import shutil
import time
from typing import Any

import tqdm

from datasets.collection import (
    code_version,
    extension,
    shard_assignment,
    shard_files,
    worker_pool,
)
from datasets.rlds import files, schema, statistics


class CollectionError(RuntimeError):
    """Raised when a worker dies; the message tells which part is complete."""


class CollectionRun:
    """Run that collects the missing files of one directory, then describes them all."""

    def __init__(
        self, directory: pathlib.Path, work: worker_pool.Work, processes: int
    ) -> None:
        """Reads what earlier runs have recorded.

        Args:
          directory: directory of the data set, or of its extension.
          work: settings of the data, and makers of environment and expert.
          processes: most processes that collect.
        """
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
        """Collects the shards that are missing.

        Args:
          progress: whether to show a bar on standard error.

        Raises:
          ValueError: a finished file is damaged, or no episode succeeds.
          CollectionError: a worker died; finished shards are kept.
        """
        self._started = time.monotonic()
        missing = shard_files.missing(self._directory, self._settings)
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
            done = shard_files.count(self._directory, self._settings)
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
                path = shard_files.path_of(self._directory, settings, shard)
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
            path = shard_files.path_of(self._directory, self._settings, shard)
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
