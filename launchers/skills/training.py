"""Offline training of any model from a data set to a frozen bundle, without flags.

The work directory gets `run.json` (settings and data set), `checkpoints/`, `logs/` (CSV
and TensorBoard: `train`, the steps; `evaluation`, on held-out episodes;
`train_evaluation`, on training episodes), and at the end `skills/` (the bundle of the
best held-out evaluation), `summary.json` and, for HeLMS, `skills.png`. The same call on
the same directory resumes where it stopped.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
import tqdm
from acme.tf import savers
from acme.utils import counting

from agents import checkpoints, registry
from agents.offline import learning
from agents.offline.best_weights import BestWeights
from agents.offline.config import OfflineConfig
from agents.offline.model import Batch
from agents.offline.networks import Dims, Statistics
from agents.registry import MODELS
from datasets import loader
from datasets.rlds.columns import OWN, Columns
from launchers.common import atomic_files, loggers
from launchers.skills import figures, record, report

_CHECKPOINT = "skills"  # the subdirectory of Acme's
_STEPS_KEY = "learner_steps"


class Data(Protocol):
    """Interface of `datasets.loader` that training uses."""

    def load(self, directory: str) -> Any:
        """Reads the data set; raises ValueError unless there is one that fits."""

    def windows(
        self,
        directory: str,
        split: str,
        batch_size: int,
        window: int,
        look_ahead: int,
        seed: int,
        skip: int,
    ) -> Iterable[Batch]:
        """Yields batches: endless for "train", one pass for "held_out"."""

    def statistics(self, directory: str) -> Statistics:
        """Returns mean and standard deviation of each group's features."""

    def manifest(self, directory: str) -> dict[str, Any]:
        """Returns the record of the data set, which differs from every other's."""


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """Options of a training that do not change what a step computes."""

    steps: int = 2000  # where training ends, counted from the first start
    evaluate_every: int = 500  # steps between evaluations
    evaluation_batches: int = 16  # most batches per evaluation
    patience: int = 0  # evaluations without a better one that end it; 0: no limit
    checkpoint_minutes: float = 2.0  # least time between two; one more at the end
    jit_compile: bool = False  # whether to compile steps with XLA
    show_progress: bool = True  # whether to show a bar on standard error

    def __post_init__(self) -> None:
        lows = {"steps": 1, "evaluate_every": 1, "evaluation_batches": 1, "patience": 0}
        for name, low in lows.items():
            if getattr(self, name) < low:
                raise ValueError(
                    f"{name} must be at least {low}, got {getattr(self, name)}"
                )
        if not 0 <= self.checkpoint_minutes < math.inf:
            raise ValueError(
                f"checkpoint_minutes must be at least 0, got {self.checkpoint_minutes}"
            )


class SkillTraining:
    """An offline training, whose input is checked at construction.

    `SkillTraining(...).run()` trains, freezes the result and returns `summary.json`.
    """

    def __init__(
        self,
        model: str,
        config: OfflineConfig,
        options: TrainingOptions,
        data: Data,
        dataset: str,
        workdir: str,
        observation_names: Mapping[str, Sequence[str]] | None = None,
        restart: bool = False,
    ):
        """Reads the data set and, where the work directory holds one, the checkpoint.

        Args:
          model: name of the model in `agents.registry`.
          config: configuration of the model and its training.
          options: options of this run.
          data: `datasets.loader`.
          dataset: directory of the data set.
          workdir: work directory; see the module's docstring.
          observation_names: names that make up "proprio" and "objects", for the bundle;
            None takes them, and names and bounds of the action, from the data.
          restart: see `record.start`.

        Raises:
          ValueError: in one line, why the data set or the work directory does not fit.
        """
        self._config, self._options = config, options
        self._data, self._dataset = data, dataset
        self._root = pathlib.Path(workdir)
        loaded = data.load(dataset)
        self._action = None
        if observation_names is None:
            observation_names = loaded.columns.groups
            self._action = loaded.columns.action_facts()
        self._observation_names = observation_names
        self._manifest = data.manifest(dataset)
        dims = _dims(self._batches("held_out"), dataset)
        statistics = data.statistics(dataset)
        record.start(
            self._root,
            model,
            config.to_dict(),
            type(config)().to_dict(),
            self._manifest,
            dataclasses.asdict(options),
            restart,
        )

        model_type = MODELS[model].offline
        self._networks, copy = (
            model_type.networks_type(config, dims, statistics) for _ in range(2)
        )
        self._selection = BestWeights(copy)
        self._counter = counting.Counter(prefix="learner")
        self._learner = learning.OfflineLearner(
            model_type(self._networks),
            lambda done: self._batches("train", skip=done),
            self._counter,
            self._logger("train", time_delta=1.0),
            jit_compile=options.jit_compile,
        )
        newest = checkpoints.newest(self._root / "checkpoints" / _CHECKPOINT)
        loggers.check(workdir)
        if newest is None and loggers.read_rows(workdir, "train"):
            raise ValueError(
                f"{workdir} has logged steps, and its checkpoint is gone; nothing was "
                "changed: take another workdir, or --restart, to begin anew"
            )
        with checkpoints.reading(newest):
            self._checkpointer = savers.Checkpointer(
                {
                    **self._learner.checkpointables,
                    "selection": self._selection,
                    "counter": self._counter,
                },
                directory=checkpoints.plain(self._root),
                subdirectory=_CHECKPOINT,
                time_delta_minutes=options.checkpoint_minutes,
                add_uid=False,
            )
        if newest is not None:
            record.resume(
                self._root, dataclasses.asdict(options), self._learner.num_steps
            )
        # A process that was killed has logged steps that this one takes again.
        loggers.rewind(workdir, "train", _STEPS_KEY, self._learner.num_steps)
        for node in ("evaluation", "train_evaluation"):
            loggers.rewind(workdir, node, _STEPS_KEY, self._selection.last_step)
        self._evaluation_logger = self._logger("evaluation")
        self._train_evaluation_logger = self._logger("train_evaluation")

    def run(self) -> dict[str, Any]:
        """Trains to the end and writes the results; returns the summary.

        Raises:
          FloatingPointError: values became non-finite; these are not saved.
        """
        try:
            self._train()
        finally:  # also on an interruption: weights are those of complete steps
            self._checkpointer.save(force=True)
        seconds = self._counter.get_counts().get("learner_walltime", 0.0)
        steps = self._learner.num_steps
        before, after = self._selection.first, self._selection.best
        summary = {
            "model": self._networks.model,
            "dataset": str(self._dataset),
            "steps": steps,
            "best_step": after[_STEPS_KEY],
            "seconds": round(seconds, 3),
            "steps_per_second": round(steps / seconds, 3) if seconds else None,
            "elbo_before": before["elbo"],
            "elbo_after": after["elbo"],
            "before": before,
            "after": after,
            "config": self._config.to_dict(),
        }
        networks = self._selection.networks
        if networks.model == "helms":
            prior = tf.nn.softmax(networks.prior_logits).numpy()
            summary["skill_use"] = after["skill_use"]
            summary["transition_prior"] = prior.tolist()
            use = np.asarray(after["skill_use"])
            figures.write_figure(self._root / "skills.png", prior, use)
        registry.save_bundle(
            self._root / "skills",
            networks,
            self._observation_names,
            data=record.facts(self._manifest),
            training=summary,
            action=self._action,
        )
        atomic_files.write_json(self._root / "summary.json", summary)
        return summary

    def _train(self) -> None:
        learner, options = self._learner, self._options
        with tqdm.tqdm(
            total=options.steps,
            initial=learner.num_steps,
            desc=self._networks.model,
            unit="step",
            disable=not options.show_progress,
        ) as bar:
            while True:
                steps = learner.num_steps
                is_last = steps >= options.steps
                if is_last or steps % options.evaluate_every == 0:
                    self._evaluate(bar)
                if is_last:
                    return
                if 0 < options.patience <= self._selection.stale:
                    self._say(bar, report.early_end(steps, self._selection.best))
                    return
                self._checkpointer.save()
                means = learner.step()
                bar.set_postfix(loss=f"{means['loss']:.3f}", refresh=False)
                bar.update()

    def _evaluate(self, bar: tqdm.tqdm) -> None:
        """Evaluates, unless a resumed run already has the evaluation of this step."""
        steps = self._learner.num_steps
        if self._selection.last_step == steps:
            return
        held_out = self._learner.evaluate(self._few("held_out"))
        train = self._learner.evaluate(self._few("train"))
        is_best = self._selection.update(self._networks, held_out, steps)
        self._evaluation_logger.write({**learning.scalars(held_out), _STEPS_KEY: steps})
        self._train_evaluation_logger.write(
            {**learning.scalars(train), _STEPS_KEY: steps}
        )
        self._say(bar, report.line(steps, held_out, train, is_best))

    def _say(self, bar: tqdm.tqdm, text: str) -> None:
        if self._options.show_progress:
            bar.write(text)

    def _batches(self, split: str, skip: int = 0) -> Iterable[Batch]:
        return self._data.windows(
            self._dataset,
            split=split,
            batch_size=self._config.batch_size,
            window=self._config.window,
            look_ahead=self._config.look_ahead,
            seed=self._config.seed,
            skip=skip,
        )

    def _few(self, split: str) -> Iterable[Batch]:
        """Returns the batches of evaluations, the same every time."""
        return itertools.islice(self._batches(split), self._options.evaluation_batches)

    def _logger(self, node: str, time_delta: float = 0.0) -> Any:
        return loggers.make_logger(str(self._root), node, _STEPS_KEY, time_delta)


def train(
    model: str,
    dataset: str,
    workdir: str,
    config: OfflineConfig | None = None,
    options: TrainingOptions | None = None,
    columns: Columns = OWN,
) -> dict[str, Any]:
    """Learns a model from a data set; resumes an earlier call.

    Args:
      model: name of the model in `agents.registry.MODELS`.
      dataset: directory of the data set (`datasets.collection.collect`).
      workdir: work directory, see the module's docstring; the bundle is
        WORKDIR/skills.
      config: configuration of the model and its training; None takes the paper's.
      options: options of this run; None takes the defaults.
      columns: features to learn from, of a data set that is not of this project.

    Returns:
      The content of `summary.json`.

    Raises:
      ValueError: in one line, what does not fit; nothing was run.
      FloatingPointError: see `SkillTraining.run`.
    """
    if model not in MODELS:
        raise ValueError(f"unknown model {model!r}; valid: {', '.join(MODELS)}")
    return SkillTraining(
        model,
        config or MODELS[model].offline.config_type(),
        options or TrainingOptions(),
        loader.Source(columns),
        dataset,
        workdir,
    ).run()


def _dims(batches: Iterable[Batch], dataset: str) -> Dims:
    for batch in batches:
        return Dims(
            proprio=int(batch["proprio"].shape[-1]),
            objects=int(batch["objects"].shape[-1]),
            action=int(batch["action"].shape[-1]),
        )
    raise ValueError(f"the data set at {dataset} has no held-out episode")
