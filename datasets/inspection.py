"""Checks and counts the episodes of a data set, one at a time.

What is kept of an episode is one row and a hash, so that memory stays small. T is the
number of control steps; arrays have T+1 entries, the last with the final observation.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from datasets import paths, records, running, schema
from environments import observations

ACTION_BINS = 40
# Readings of these above so many times the 99th percentile deserve a look.
OUTLIER_KEYS = ("wrist/force", "wrist/torque")
OUTLIER_FACTOR = 20.0
_TOLERANCE = 1e-6  # of float32 at the bounds
_BOUNDS = {"action": (-1.0, 1.0), "reward": (0.0, 1.0), "discount": (0.0, 1.0)}


@dataclasses.dataclass(frozen=True)
class Row:
    """What is kept of one episode.

    Attributes:
      place: file and episode.
      task, object_set: as of its metadata; "unknown" where it has none.
      steps: T.
      episode_return: sum of rewards.
      success, action_delay: None where the metadata has none.
      invalid: whether the simulation diverged.
    """

    place: records.Place
    task: str
    object_set: str
    steps: int
    episode_return: float
    success: bool | None
    action_delay: int | None
    invalid: bool


def check_features(features: Mapping[str, Any], action_shape: Any) -> Iterator[str]:
    """Yields what differs from this project's observations and actions, a line each.

    Args:
      features: of one step's observations, by name; each with `shape`.
      action_shape: of one step's action.
    """
    if tuple(action_shape) != (schema.ACTION_SIZE,):
        yield f"action has shape {list(action_shape)}; valid: [{schema.ACTION_SIZE}]"
    for name in (*observations.FRAME_SIZES, observations.PREVIOUS_ACTION):
        valid = observations.shape(name)
        if name not in features:
            yield f"lacks the observation {name}"
        elif tuple(features[name].shape) != valid:
            shape = list(features[name].shape)
            yield f"{name} has shape {shape}; valid: {list(valid)}"


def check_steps(
    steps: Mapping[str, np.ndarray], observation: Mapping[str, np.ndarray]
) -> Iterator[str]:
    """Yields what is wrong with an episode's arrays, a line for each kind and array.

    Args:
      steps: arrays [T+1, ...] by name.
      observation: arrays [T+1, ...] by name.
    """
    length = len(steps["is_first"])
    if length < 2:
        yield f"has {length} steps; valid: from 2"
    same_length = True
    for name, values in {**steps, **observation}.items():
        if len(values) != length:
            same_length = False
            yield f"{name} has {len(values)} steps, but is_first has {length}"
        if np.issubdtype(values.dtype, np.floating):
            good = np.isfinite(_flat(values)).all(axis=1)
            if not good.all():
                yield f"{name} is not finite at {_where(~good)}"
    for name, (low, high) in _BOUNDS.items():
        # Of the last step nothing is meant but the observation.
        values = steps.get(name, np.zeros(1))[:-1]
        outside = (values < low - _TOLERANCE) | (values > high + _TOLERANCE)
        outside &= np.isfinite(values)
        if outside.any():
            worst = values[outside][np.argmax(np.abs(values[outside]))]
            at = _where(_flat(outside).any(axis=1))
            yield f"{name} is {worst:.4g}, outside [{low:g}, {high:g}], at {at}"
    if same_length:
        place = np.arange(length)
        for name, valid in (("is_first", place == 0), ("is_last", place == length - 1)):
            wrong = steps[name].astype(bool) != valid
            if wrong.any():
                at = int(np.argmax(wrong))
                yield f"{name} is {not valid[at]} at {_where(wrong)} of {length}"
        early = steps["is_terminal"].astype(bool)[:-1]
        if early.any():
            yield f"is_terminal is True at {_where(early)}, before the last"


def content_hash(episode: records.Episode) -> bytes:
    """Returns a hash of the observations, actions and rewards, not of the metadata."""
    digest = hashlib.blake2b(digest_size=16)
    arrays = {k: episode.steps[k] for k in ("action", "reward")} | episode.observation
    for name in sorted(arrays):
        digest.update(name.encode())
        values = arrays[name]
        encoded = values.dtype == object  # Images, as bytes.
        digest.update(b"".join(values) if encoded else values.tobytes())
    return digest.digest()


def newest_frames(name: str, values: np.ndarray) -> np.ndarray:
    """Returns [T+1, D]: the stack's newest frame, where the observation is stacked."""
    known = name in observations.FRAME_SIZES or name == observations.PREVIOUS_ACTION
    if known and values.shape[1:] == observations.shape(name):
        values = values[:, 0]
    return _flat(values)


def phase_names(episode: records.Episode) -> list[str] | None:
    """Returns the names of the expert's phases; None if they cannot be read."""
    return _json(episode, "expert_phases", list)


class Inspection:
    """Adds up episodes and what is wrong with them.

    Attributes:
      problems: what was found, warnings included, in order.
      rows: one an episode.
      ranges: `running.Moments` of the newest frame of each observation that is no
        image, and of the action.
      images: names of observations that are images.
      action_counts: [D, ACTION_BINS], over [-1, 1].
      phase_steps, phase_episodes: control steps and episodes by the expert's phase.
      randomization: moments of each number drawn; `NAME_0` to `NAME_6` are one, `NAME`.
      drawn_names: for each text that was drawn, how often.
      num_bytes: of all files.
      manifest: of the data set; empty where there is none.
    """

    def __init__(self, source: records.Records) -> None:
        """Checks what needs no episode: features, manifest, and files too many."""
        self.problems: list[records.Problem] = []
        self.rows: list[Row] = []
        features = source.observation_features
        self.images = [
            k for k, f in features.items() if isinstance(f, tfds.features.Image)
        ]
        self.ranges: dict[str, running.Moments] = {}
        self.action_counts: np.ndarray | None = None
        self.phase_steps: collections.Counter[str] = collections.Counter()
        self.phase_episodes: collections.Counter[str] = collections.Counter()
        self.randomization: dict[str, running.Moments] = {}
        self.drawn_names: dict[str, collections.Counter[str]] = {}
        self.num_bytes = sum(f.stat().st_size for f in source.files if f.exists())
        self.manifest: dict[str, Any] = {}
        self._magnitudes = {k: running.Magnitudes() for k in OUTLIER_KEYS}
        self._peaks: dict[str, list[tuple[float, int, records.Place]]] = {
            k: [] for k in OUTLIER_KEYS
        }
        self._seen: dict[Any, records.Place] = {}
        action_shape = source.features["steps"].feature["action"].shape
        for text in check_features(features, action_shape):
            self.report(records.Problem(records.Place("features.json"), text))
        self._check_directory(source)

    def report(self, problem: records.Problem) -> None:
        """Adds a problem found elsewhere."""
        self.problems.append(problem)

    def add(self, episode: records.Episode) -> None:
        """Checks and counts one episode."""
        for text in check_steps(episode.steps, episode.observation):
            self.report(records.Problem(episode.place, text))
        self._check_doubled(episode)
        self._add_row(episode)
        self._add_ranges(episode)
        self._add_phases(episode)
        self._add_randomization(episode)

    def finish(self) -> None:
        """Reports what only the whole data set shows."""
        for key, peaks in self._peaks.items():
            percentile = self._magnitudes[key].quantile(0.99)
            for peak, step, place in peaks:
                if peak > OUTLIER_FACTOR * percentile > 0.0:
                    text = (
                        f"{key} reaches {peak:.4g} at step {step}, "
                        f"{peak / percentile:.0f} times the 99th percentile"
                    )
                    self.report(records.Problem(place, text, warning=True))

    def _check_directory(self, source: records.Records) -> None:
        named = {f.name for f in source.files}
        for path in sorted(source.directory.glob("*.tfrecord*")):
            if path.name not in named:
                text = f"is not of this data set, says {paths.DATASET_INFO}"
                place = records.Place(path.name)
                self.report(records.Problem(place, text, warning=True))
        place = records.Place(paths.MANIFEST)
        try:
            self.manifest = paths.read_manifest(source.directory)
        except FileNotFoundError:  # Other people's data sets have none.
            return
        except ValueError as e:
            self.report(records.Problem(place, str(e)))
            return
        count = self.manifest.get("episodes", source.num_episodes)
        if count != source.num_episodes:
            text = (
                f"counts {count} episodes, but {paths.DATASET_INFO} "
                f"{source.num_episodes}"
            )
            self.report(records.Problem(place, text))

    def _check_doubled(self, episode: records.Episode) -> None:
        m = episode.metadata
        keys = {"the same steps": content_hash(episode)}
        if "seed" in m:  # One seed may serve several tasks and sets.
            drawn = (m.get(k) for k in ("seed", "task", "object_set", "expert"))
            keys[f"the same seed {m['seed']}"] = tuple(map(str, drawn))
        for what, key in keys.items():
            before = self._seen.setdefault(key, episode.place)
            if before is not episode.place:
                text = f"doubled: has {what} as {before}"
                self.report(records.Problem(episode.place, text))
                return

    def _add_row(self, episode: records.Episode) -> None:
        m = episode.metadata
        rewards = episode.steps["reward"][:-1]
        success, delay = m.get("success"), m.get("action_delay")
        row = Row(
            place=episode.place,
            task=str(m.get("task", "unknown")),
            object_set=str(m.get("object_set", "unknown")),
            steps=len(rewards),
            episode_return=float(rewards[np.isfinite(rewards)].sum()),
            success=None if success is None else bool(success),
            action_delay=None if delay is None else int(delay),
            invalid=bool(m.get("invalid", False)),
        )
        self.rows.append(row)

    def _add_ranges(self, episode: records.Episode) -> None:
        action = _flat(episode.steps["action"][:-1])
        arrays = {"action": action} | {
            name: newest_frames(name, values)
            for name, values in episode.observation.items()
            if name not in self.images
        }
        for name, values in arrays.items():
            moments = self.ranges.setdefault(name, running.Moments(values.shape[1]))
            moments.update(values)
        edges = np.linspace(-1.0, 1.0, ACTION_BINS + 1)
        counts = np.stack([np.histogram(column, edges)[0] for column in action.T])
        self.action_counts = counts + (
            0 if self.action_counts is None else self.action_counts
        )
        for key in OUTLIER_KEYS:
            if key in arrays and len(arrays[key]):
                sizes = np.nan_to_num(np.abs(arrays[key]), posinf=0.0).max(axis=1)
                self._magnitudes[key].update(arrays[key])
                step = int(np.argmax(sizes))
                self._peaks[key].append((float(sizes[step]), step, episode.place))

    def _add_phases(self, episode: records.Episode) -> None:
        if "expert_phase" not in episode.steps:
            return
        names = phase_names(episode)
        if names is None:
            names = []
            self.report(records.Problem(episode.place, "expert_phases is no JSON list"))
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
                self.report(records.Problem(episode.place, text))
            self.phase_steps[name] += count
            self.phase_episodes[name] += 1

    def _add_randomization(self, episode: records.Episode) -> None:
        drawn = _json(episode, "randomization", dict)
        if drawn is None:
            text = "randomization is no JSON object"
            self.report(records.Problem(episode.place, text))
        for name, value in (drawn or {}).items():
            if isinstance(value, str):
                counter = self.drawn_names.setdefault(name, collections.Counter())
                counter[value] += 1
                continue
            with contextlib.suppress(TypeError, ValueError):
                numbers = np.asarray(value, np.float64).reshape(-1, 1)
                name = re.sub(r"_\d+$", "", name)
                moments = self.randomization.setdefault(name, running.Moments(1))
                moments.update(numbers)


def _json(episode: records.Episode, name: str, kind: type) -> Any:
    """Returns what a text of the metadata holds, or None if that is no `kind`."""
    try:
        content = json.loads(episode.metadata.get(name) or json.dumps(kind()))
    except ValueError:
        return None
    return content if isinstance(content, kind) else None


def _flat(values: np.ndarray) -> np.ndarray:
    """Returns [N, D]; N may be 0."""
    return values.reshape(len(values), math.prod(values.shape[1:]))


def _where(wrong: np.ndarray) -> str:
    """Describes the steps where `wrong` [T] is True."""
    steps = np.flatnonzero(wrong)
    more = f" and {len(steps) - 1} more" if len(steps) > 1 else ""
    return f"step {steps[0]}{more}"
