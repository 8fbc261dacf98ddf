"""Replay nodes of the distributed program: shards, and their checkpointer."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import reverb
from absl import logging
from reverb.platform import checkpointers_lib

from launchers.common import atomic_files
from launchers.distributed.heartbeat import Heartbeat
from launchers.distributed.node_entry import enter_node
from launchers.experiments import checkpointing
from launchers.experiments.config import Experiment


class ReplayShard:
    """Maker of a shard's tables and checkpointer; Launchpad calls `tables` first."""

    def __init__(self, experiment: Experiment, index: int):
        self._experiment = experiment
        self._index = index
        self._settings: dict[str, list[Any]] = {}

    def tables(self) -> Sequence[reverb.Table]:
        """Returns the agent's tables."""
        enter_node()
        experiment = self._experiment
        tables = experiment.builder_factory().make_replay_tables(
            experiment.environment_spec
        )
        self._settings = checkpointing.settings(tables)
        return tables

    def checkpointer(self) -> checkpointers_lib.CheckpointerBase:
        """Returns a checkpointer that loads the newest checkpoint of equal settings."""
        workdir = pathlib.Path(self._experiment.workdir)
        root = workdir / "checkpoints" / "replay_shards"
        directory, record = root / str(self._index), root / f"{self._index}.json"
        if directory.exists() and (
            not record.exists() or atomic_files.read_json(record) != self._settings
        ):
            logging.warning("replay/%d starts empty: its settings changed", self._index)
            shutil.rmtree(directory)
        atomic_files.write_json(record, self._settings)
        return reverb.checkpointers.DefaultCheckpointer(str(directory))


class ReplayCheckpointer:
    """Node that has replay shards save checkpoints, from which new processes resume."""

    def __init__(
        self,
        experiment: Experiment,
        replays: Sequence[reverb.Client],
        coordinator: Any,
    ):
        self._stop = enter_node()
        self._seconds = 60.0 * experiment.budget.checkpoint_minutes
        self._replays = replays
        self._heartbeat = Heartbeat("replay_keeper", coordinator, self._stop)

    def run(self) -> None:
        """Saves at intervals until the program stops, and once more at the end."""
        while not self._stop.wait(self._seconds):
            self._save()
        self._save()

    def _save(self) -> None:
        for i, replay in enumerate(self._replays):
            with self._heartbeat.waiting(f"a checkpoint of replay/{i}"):
                try:
                    replay.checkpoint()
                except Exception as e:  # an unreachable shard is saved the next time
                    logging.warning("no checkpoint of replay/%d: %s", i, e)
