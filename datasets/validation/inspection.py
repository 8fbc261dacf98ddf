"""Inspection of a data set, which checks and counts one episode at a time.

It keeps a row and a hash per episode, so memory stays small. T is the number of control
steps; arrays have T+1 entries, the last with the final observation.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import itertools
import json
import pathlib
import re
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from datasets.rlds import files, reader, running_statistics, schema, statistics
from datasets.rlds.columns import OWN, Bounds, Columns, said_bounds
from datasets.validation import checks, manifest
from environments import mapping

ACTION_BINS = 40
# Readings of these sensors above the 99th percentile times the factor are reported.
OUTLIER_KEYS = ("wrist/force", "wrist/torque")
OUTLIER_FACTOR = 20.0


@dataclasses.dataclass(frozen=True)
class Row:
    """Row of an inspection: its record of one episode.

    Attributes:
      place: file and episode.
      index, seed: from the metadata; None where they have none.
      task, object_set: from the metadata; "unknown" where they have none.
      steps: T.
      episode_return: sum of rewards.
      success, action_delay: from the metadata; None where they have none.
      invalid: whether the simulation diverged.
    """

    place: reader.Place
    index: int | None
    seed: int | None
    task: str
    object_set: str
    steps: int
    episode_return: float
    success: bool | None
    action_delay: int | None
    invalid: bool


def content_hash(episode: reader.Episode) -> bytes:
    """Hashes the observations, actions and rewards, without the metadata."""
    digest = hashlib.blake2b(digest_size=16)
    acted = {k: episode.steps[k][:-1] for k in ("action", "reward")}
    for name, values in sorted((acted | episode.observation).items()):
        digest.update(name.encode())
        _hash(digest, values)
    return digest.digest()


def _hash(digest: hashlib.blake2b, values: Any) -> None:
    """Adds an array, which may be of bytes (images, text) or of arrays."""
    if isinstance(values, np.ndarray) and values.dtype == object:
        for value in values.ravel():
            _hash(digest, value)
    else:
        digest.update(values if isinstance(values, bytes) else values.tobytes())


def phase_names(episode: reader.Episode) -> list[str] | None:
    """Returns the names of the expert's phases; None if they cannot be read."""
    return _json(episode, "expert_phases", list)


def drawn(episode: reader.Episode) -> dict[str, Any] | None:
    """Returns the values drawn for the episode; None if they cannot be read."""
    return _json(episode, "randomization", dict)


class Inspection:
    """Inspection of a data set, to which episodes are added.

    Attributes:
      problems: problems, warnings included, in the order of their discovery.
      rows: a row per episode.
      statistics: statistics of every dimension of the steps.
      images: names of observations that are images.
      action_bounds: low and high of the action, [D] or numbers; None where the data set
        is from elsewhere and does not say them.
      action_counts: [D, ACTION_BINS] counts of actions over these bounds, if any.
      phase_steps, phase_episodes: control steps and episodes by the expert's phase.
      randomization: statistics of each number drawn; `NAME_0` to `NAME_6` are one,
        `NAME`.
      drawn_names: number of draws of each text.
      num_bytes: size of all files.
      manifest: manifest of the data set; empty where there is none.
    """

    def __init__(self, source: reader.Records, columns: Columns = OWN) -> None:
        """Checks what needs no episode: features, manifest and surplus files.

        Args:
          source: the data set.
          columns: the features that are to be learned from.

        Raises:
          ValueError: the data set does not have these.
        """
        self.problems: list[reader.Problem] = []
        self.rows: list[Row] = []
        features = source.observation_features
        self.images = [
            k for k, f in features.items() if isinstance(f, tfds.features.Image)
        ]
        self.statistics = statistics.StepStatistics()
        self.action_counts: np.ndarray | None = None
        self.phase_steps: collections.Counter[str] = collections.Counter()
        self.phase_episodes: collections.Counter[str] = collections.Counter()
        self.randomization: dict[str, running_statistics.RunningStatistics] = {}
        self.drawn_names: dict[str, collections.Counter[str]] = {}
        self.num_bytes = sum(f.stat().st_size for f in source.files if f.exists())
        self.manifest: dict[str, Any] = {}
        self._magnitudes = {k: running_statistics.Magnitudes() for k in OUTLIER_KEYS}
        self._peaks: dict[str, list[tuple[float, int, reader.Place]]] = {
            k: [] for k in OUTLIER_KEYS
        }
        self._seen: dict[Any, reader.Place] = {}
        self._source = source
        self._read_manifest(source.directory)
        self._columns = columns if columns.is_own else columns.resolved(source)
        self.action_bounds: tuple[Any, Any] | None = (-1.0, 1.0)
        self._bounds = checks.OWN_BOUNDS
        if not columns.is_own:
            self._take_bounds(self._columns.bounds)
        elif self.manifest.get("settings", {}).get("environment") is not None:
            self._take_bounds(said_bounds([source.step_features["action"]]))
        else:
            for text in checks.check_features(features, source.step_features):
                self.report(reader.Problem(reader.Place(files.FEATURES), text))
        self.problems.extend(manifest.check_directory(source, self.manifest))

    def report(self, problem: reader.Problem) -> None:
        """Adds a problem that the reader reports."""
        self.problems.append(problem)

    def add(self, episode: reader.Episode) -> None:
        """Checks and counts one episode."""
        if not self._columns.is_own and self._columns.executed != ("action",):
            action = mapping.vector(episode.steps, self._columns.executed, lead=1)
            episode = dataclasses.replace(
                episode, steps={**episode.steps, "action": action}
            )
        for text in itertools.chain(
            checks.check_steps(episode.steps, episode.observation, self._bounds),
            checks.check_observations(episode.observation),
        ):
            self.report(reader.Problem(episode.place, text))
        self._check_doubled(episode)
        self._add_row(episode)
        self._add_ranges(episode)
        self._add_phases(episode)
        self._add_randomization(episode)

    def action_edges(self, size: int) -> np.ndarray:
        """Returns the edges of the bins of `size` dimensions, [size, ACTION_BINS + 1].

        There must be `action_bounds`.
        """
        assert self.action_bounds is not None
        low, high = (np.broadcast_to(b, size) for b in self.action_bounds)
        return np.linspace(low, high, ACTION_BINS + 1, axis=-1)

    def finish(self) -> None:
        """Adds the problems that only the whole data set shows."""
        complete = len(self.rows) == self._source.num_episodes
        self.problems.extend(
            manifest.check_episodes(self.manifest, self.rows, complete)
        )
        if complete:
            self.problems.extend(
                manifest.check_statistics(self._source.statistics, self.statistics)
            )
        for key, peaks in self._peaks.items():
            percentile = self._magnitudes[key].quantile(0.99)
            for peak, step, place in peaks:
                if peak > OUTLIER_FACTOR * percentile > 0.0:
                    text = (
                        f"{key} reaches {peak:.4g} at step {step}, "
                        f"{peak / percentile:.0f} times the 99th percentile"
                    )
                    self.report(reader.Problem(place, text, warning=True))

    def _take_bounds(self, bounds: Bounds | None) -> None:
        """Takes the bounds of a data set from elsewhere, whose rewards have none."""
        self.action_bounds = bounds
        self._bounds = {"discount": (0.0, 1.0)}
        if bounds is not None:
            low, high = map(np.asarray, bounds)
            self._bounds |= dict.fromkeys(("action", schema.EXPERT_ACTION), (low, high))

    def _read_manifest(self, directory: pathlib.Path) -> None:
        try:
            self.manifest = files.read_manifest(directory)
        except FileNotFoundError:  # Data sets made elsewhere have none.
            pass
        except ValueError as e:
            place = reader.Place(files.MANIFEST)
            self.report(reader.Problem(place, str(e)))

    def _check_doubled(self, episode: reader.Episode) -> None:
        m = episode.metadata
        keys: dict[str, Any] = {}
        if len(episode.steps["action"]):
            keys["the same steps"] = content_hash(episode)
        if "seed" in m:  # One seed may serve several tasks and sets.
            identity = (m.get(k) for k in ("seed", "task", "object_set", "expert"))
            keys[f"the same seed {m['seed']}"] = tuple(map(str, identity))
        for description, key in keys.items():
            before = self._seen.setdefault(key, episode.place)
            if before is not episode.place:
                text = f"doubled: has {description} as {before}"
                self.report(reader.Problem(episode.place, text))
                return

    def _add_row(self, episode: reader.Episode) -> None:
        m = episode.metadata
        rewards = episode.steps["reward"][:-1]
        success = m.get("success")
        row = Row(
            place=episode.place,
            index=_integer(m.get("episode_index")),
            seed=_integer(m.get("seed")),
            task=str(m.get("task", "unknown")),
            object_set=str(m.get("object_set", "unknown")),
            steps=len(rewards),
            episode_return=float(rewards[np.isfinite(rewards)].sum()),
            success=None if success is None else bool(success),
            action_delay=_integer(m.get("action_delay")),
            invalid=bool(m.get("invalid", False)),
        )
        self.rows.append(row)

    def _add_ranges(self, episode: reader.Episode) -> None:
        self.statistics.add({**episode.steps, "observation": episode.observation})
        action = checks.flat(episode.steps["action"][:-1])
        if self.action_bounds is not None:
            counts = np.stack(
                [
                    np.histogram(column, edges)[0]
                    for column, edges in zip(
                        action.T, self.action_edges(action.shape[1]), strict=True
                    )
                ]
            )
            self.action_counts = counts + (
                0 if self.action_counts is None else self.action_counts
            )
        for key in OUTLIER_KEYS:
            values = episode.observation.get(key)
            if values is None or not np.issubdtype(values.dtype, np.floating):
                continue
            values = checks.newest_frames(key, values)
            sizes = np.nan_to_num(np.abs(values), posinf=0.0).max(axis=1)
            if len(sizes):
                self._magnitudes[key].update(values)
                step = int(np.argmax(sizes))
                self._peaks[key].append((float(sizes[step]), step, episode.place))

    def _add_phases(self, episode: reader.Episode) -> None:
        if "expert_phase" not in episode.steps:
            return
        names = phase_names(episode)
        if names is None:
            names = []
            self.report(reader.Problem(episode.place, "expert_phases is no JSON list"))
        phases, counts = np.unique(
            episode.steps["expert_phase"][:-1], return_counts=True
        )
        for phase, count in zip(phases.tolist(), counts.tolist(), strict=True):
            if phase == schema.UNKNOWN_PHASE:
                name = "none"
            elif 0 <= phase < len(names):
                name = str(names[phase])
            else:
                name = f"phase {phase}"
                text = f"expert_phase {phase}, but expert_phases has {len(names)}"
                self.report(reader.Problem(episode.place, text))
            self.phase_steps[name] += count
            self.phase_episodes[name] += 1

    def _add_randomization(self, episode: reader.Episode) -> None:
        values = drawn(episode)
        if values is None:
            text = "randomization is no JSON object"
            self.report(reader.Problem(episode.place, text))
        for name, value in (values or {}).items():
            if isinstance(value, str):
                counter = self.drawn_names.setdefault(name, collections.Counter())
                counter[value] += 1
                continue
            with contextlib.suppress(TypeError, ValueError, OverflowError):
                numbers = np.asarray(value, np.float64).reshape(-1, 1)
                name = re.sub(r"_\d+$", "", name)
                moments = self.randomization.setdefault(
                    name, running_statistics.RunningStatistics(1)
                )
                moments.update(numbers)


def _integer(value: Any) -> int | None:
    return None if value is None else int(value)


def _json(episode: reader.Episode, name: str, kind: type) -> Any:
    """Parses a JSON text of the metadata; returns None if it holds no `kind`."""
    try:
        content = json.loads(episode.metadata.get(name) or json.dumps(kind()))
    except ValueError:
        return None
    return content if isinstance(content, kind) else None
