"""Replay in the distributed program: shards, and who has them write checkpoints."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import reverb
from absl import logging
from reverb.platform import checkpointers_lib

from launchers import files, snapshots
from launchers.experiment import Experiment
from launchers.health import Health
from launchers.nodes import enter_node


class ReplayTables:
    """Makes the tables in a replay node."""

    def __init__(self, experiment: Experiment):
        self._experiment = experiment

    def __call__(self) -> Sequence[reverb.Table]:
        """The tables."""
        enter_node()
        builder = self._experiment.builder_factory()
        return builder.make_replay_tables(self._experiment.environment_spec)


class ReplayStore:
    """Makes the checkpointer of a shard, whose process starts with its newest one."""

    def __init__(self, experiment: Experiment, shard: int):
        self._experiment = experiment
        self._shard = shard

    def __call__(self) -> checkpointers_lib.CheckpointerBase:
        """The checkpointer; a checkpoint of other limits or sizes is removed."""
        experiment = self._experiment
        root = pathlib.Path(experiment.workdir) / "checkpoints" / "replay_shards"
        tables = experiment.builder_factory().make_replay_tables(
            experiment.environment_spec
        )
        settings, record = snapshots.settings(tables), root / f"{self._shard}.json"
        directory = root / str(self._shard)
        if directory.exists() and (
            not record.exists() or files.read_json(record) != settings
        ):
            logging.warning("replay/%d starts empty: its settings changed", self._shard)
            shutil.rmtree(directory)
        files.write_json(record, settings)
        return reverb.checkpointers.DefaultCheckpointer(str(directory))


class ReplayKeeper:
    """Has the replay shards write checkpoints, from which a new process goes on."""

    def __init__(
        self,
        experiment: Experiment,
        replays: Sequence[reverb.Client],
        coordinator: Any,
    ):
        self._stop = enter_node()
        self._seconds = 60.0 * experiment.budget.checkpoint_minutes
        self._replays = replays
        self._health = Health("replay_keeper", coordinator, self._stop)

    def run(self) -> None:
        """Works until the program stops."""
        # Once more when it stops: the next run goes on with what there is.
        while not self._stop.wait(self._seconds):
            self._save()
        self._save()

    def _save(self) -> None:
        for i, replay in enumerate(self._replays):
            with self._health.waiting(f"a checkpoint of replay/{i}"):
                try:
                    replay.checkpoint()
                except Exception as e:  # a shard that is away is saved the next time
                    logging.warning("no checkpoint of replay/%d: %s", i, e)
