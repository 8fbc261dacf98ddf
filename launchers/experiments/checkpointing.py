"""Snapshots of a run in one process: learner, replay and counts of the same moment.

The learner's checkpoint commits a snapshot: counts and replay are written before it,
under the learner's number of steps, so a run that is killed at any time resumes from
the last complete snapshot. Anything newer is dropped.

    WORKDIR/checkpoints/learner     checkpoints of the learner
    WORKDIR/checkpoints/replay      checkpoints of Reverb, one directory per snapshot
    WORKDIR/checkpoints/snapshots   STEPS.json: counts, and the name of the replay
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import reverb
import tensorflow as tf
from reverb.platform import checkpointers_lib

from launchers.common import atomic_files


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Content of a snapshot besides the learner.

    Attributes:
      counts: counts of the run's counter.
      replay_steps: environment steps whose sequences replay has received, as
        `AgentBuilder.steps_stored` counts them; 0 where replay is not kept.
      learner_steps_paid: learner steps that were due for the replay steps.
      learner_credit: learner steps that were due besides these.
      replay: directory of its checkpoint under `checkpoints/replay`, or None.
      tables: `settings` of the replay's tables.
    """

    counts: Mapping[str, float] = dataclasses.field(default_factory=dict)
    replay_steps: int = 0
    learner_steps_paid: int = 0
    learner_credit: int = 0
    replay: str | None = None
    tables: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def check(self) -> None:
        """Raises ValueError unless all values, as of a file, are of their kinds."""
        for name in ("replay_steps", "learner_steps_paid", "learner_credit"):
            if type(getattr(self, name)) is not int:
                raise ValueError(f"{name} is {getattr(self, name)!r}, no whole number")
        if not isinstance(self.counts, dict) or not isinstance(self.tables, dict):
            raise ValueError("counts and tables must be objects")
        for name, count in self.counts.items():
            if type(count) not in (int, float) or not 0 <= count < math.inf:
                raise ValueError(f"the count {name} is {count!r}")
        replay = self.replay
        if replay is not None and (
            not isinstance(replay, str) or replay != pathlib.Path(replay).name
        ):
            raise ValueError(f"replay is {replay!r}, no name of a directory")


def settings(tables: Sequence[reverb.Table]) -> dict[str, list[Any]]:
    """Returns limits and shapes of tables by name.

    A checkpoint restores its own with its items, so one that was written under other
    settings must not be read.
    """
    settings_of = {}
    for table in tables:
        info, limiter = table.info, table.info.rate_limiter_info
        settings_of[info.name] = [
            float(info.max_size),
            float(limiter.min_size_to_sample),
            limiter.samples_per_insert,
            limiter.min_diff,
            limiter.max_diff,
            [x.shape.as_list() for x in tf.nest.flatten(info.signature)],
        ]
    return settings_of


class Snapshots:
    """Store of the snapshots in a work directory."""

    def __init__(self, workdir: str):
        root = pathlib.Path(workdir) / "checkpoints"
        self._replay, self._records = root / "replay", root / "snapshots"
        # Reverb removes its last checkpoint before the new one is committed, so each
        # checkpoint is moved to where Reverb does not find it.
        self._written = root / "replay_written"

    def load(
        self,
        learner_steps: int | None,
        tables: Mapping[str, Any],
        report: Callable[[str], None] = print,
    ) -> Snapshot | None:
        """Reads the snapshot that the learner's checkpoint committed; changes nothing.

        Args:
          learner_steps: of that checkpoint, None if there is none.
          tables: `settings` of the tables that will take the replay; what has others
            is left out.
          report: receives a line if the replay is left out.

        Returns:
          The snapshot; None for a new run, or one made by another launch.

        Raises:
          ValueError: in one line, if the snapshot's file is unreadable.
        """
        path = self._path(learner_steps)
        if learner_steps is None or not path.exists():
            return None
        content = atomic_files.read_json(path)
        try:
            snapshot = Snapshot(**content)
            snapshot.check()
        except (TypeError, ValueError) as e:
            raise ValueError(f"{path} is not a snapshot: {e}; nothing changed") from e
        if "actor_steps" not in snapshot.counts:
            raise ValueError(f"{path} lacks the counts of the run; nothing was changed")
        if snapshot.replay is None:
            return snapshot
        replay = self._replay / snapshot.replay
        if snapshot.tables != tables:
            fault: str | None = "it is of other replay settings"
        else:
            fault = _replay_fault(replay)  # reads all of it
        if fault is not None:
            report(f"leaves out the replay at {replay}: {fault}")
            snapshot = dataclasses.replace(snapshot, replay=None, replay_steps=0)
        return snapshot

    def drop_others(self, learner_steps: int | None, snapshot: Snapshot | None) -> None:
        """Removes the other snapshots; for after the learner has been restored.

        Args:
          learner_steps: of the learner's checkpoint, None if there is none.
          snapshot: what `load` returned.
        """
        self._keep(self._path(learner_steps), snapshot)

    def checkpointer(
        self, snapshot: Snapshot | None
    ) -> checkpointers_lib.CheckpointerBase:
        """Returns the Reverb server's checkpointer, which loads a snapshot's replay."""
        # Not the directory itself: a start that is refused later changes nothing.
        for unfinished in self._written.glob("*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        stored = None
        if snapshot is not None and snapshot.replay is not None:
            stored = str(self._replay / snapshot.replay)
        return reverb.checkpointers.DefaultCheckpointer(
            str(self._written), fallback_checkpoint_path=stored
        )

    def save(
        self,
        snapshot: Snapshot,
        learner_steps: int,
        client: reverb.Client | None,
        commit: Callable[[], None],
    ) -> None:
        """Writes a snapshot.

        Args:
          snapshot: the snapshot, without `replay`.
          learner_steps: learner steps of the checkpoint that `commit` writes.
          client: client of the replay to keep; None keeps none.
          commit: saves the learner.
        """
        if client is not None:
            written = pathlib.Path(client.checkpoint())
            self._replay.mkdir(exist_ok=True)
            written.rename(self._replay / written.name)
            snapshot = dataclasses.replace(snapshot, replay=written.name)
        else:
            snapshot = dataclasses.replace(snapshot, replay_steps=0)
        path = self._path(learner_steps)
        atomic_files.write_json(path, dataclasses.asdict(snapshot))
        commit()
        self._keep(path, snapshot)

    def _path(self, learner_steps: int | None) -> pathlib.Path:
        return self._records / f"{learner_steps}.json"

    def _keep(self, path: pathlib.Path, snapshot: Snapshot | None) -> None:
        """Removes all other snapshots."""
        for other in self._records.glob("*.json"):
            if snapshot is None or other != path:
                other.unlink()
        for other in self._replay.glob("*"):
            if snapshot is None or other.name != snapshot.replay:
                shutil.rmtree(other)


def _replay_fault(directory: pathlib.Path) -> str | None:
    """Says what is wrong with a checkpoint of Reverb, which aborts on some faults."""
    if not directory.is_dir():
        return "it is missing"
    if not (directory / "DONE").exists():
        return "it is incomplete: it has no file DONE"
    for name in ("tables.tfrecord", "items.tfrecord", "chunks.tfrecord"):
        path = directory / name
        if not path.is_file():
            return f"{name} is missing"
        if not path.stat().st_size:
            return f"{name} is empty"
        try:
            for _ in tf.data.TFRecordDataset(str(path), compression_type="ZLIB"):
                pass
        except tf.errors.OpError as e:
            return f"{name} is damaged ({type(e).__name__})"
    return None
