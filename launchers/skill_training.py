"""Offline training of a skill model from a data set to a frozen bundle, without flags.

The work directory gets `run.json` (what is being trained, on what), `checkpoints/`,
`logs/` (CSV and TensorBoard), and at the end `skills/` (the bundle), `skills.png` and
`summary.json`. The same call on the same directory goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import tensorflow as tf
import tqdm
from acme.tf import savers
from acme.utils import counting, loggers
from acme.utils.loggers import tf_summary

from agents import bundles
from agents.helms import learning, networks
from agents.helms.config import HelmsConfig
from agents.offline.networks import Dims, Statistics
from launchers import files, skill_figures

MODEL = "helms"
_RUN = "run.json"


class Data(Protocol):
    """What training needs of `datasets.loader`."""

    def load(self, directory: str) -> object:
        """Raises ValueError unless the directory holds a data set that fits."""

    def windows(
        self,
        directory: str,
        split: str,
        batch_size: int,
        window: int,
        look_ahead: int,
        seed: int,
        skip: int,
    ) -> Iterable[learning.Batch]:
        """Batches: endless for "train", one pass for "held_out"."""

    def statistics(self, directory: str) -> Statistics:
        """Mean and deviation of each group's features."""

    def manifest(self, directory: str) -> dict[str, Any]:
        """How the data set came about."""


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """How a training runs; none of it changes what a step computes."""

    steps: int = 2000  # where training ends, counted from the first start
    evaluate_every: int = 500  # steps between evaluations on held-out episodes
    evaluation_batches: int = 16  # an evaluation takes at most so many
    checkpoint_minutes: float = 2.0  # least time between two; one more at the end
    jit_compile: bool = False  # XLA
    show_progress: bool = True  # a bar on standard error

    def __post_init__(self):
        for name in ("steps", "evaluate_every", "evaluation_batches"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 1, got {getattr(self, name)}"
                )
        if not self.checkpoint_minutes >= 0:
            raise ValueError(
                f"checkpoint_minutes must be at least 0, got {self.checkpoint_minutes}"
            )


class SkillTraining:
    """One training: everything that can be wrong with its input shows at construction.

    `SkillTraining(...).run()` trains, freezes the result and returns `summary.json`.
    """

    def __init__(
        self,
        config: HelmsConfig,
        options: TrainingOptions,
        data: Data,
        dataset: str,
        workdir: str,
        observation_names: Mapping[str, Iterable[str]],
    ):
        """Reads the data set and, where the work directory holds one, the checkpoint.

        Args:
          config: of the model and its training.
          options: of this run.
          data: `datasets.loader`.
          dataset: directory of the data set.
          workdir: see the module's docstring.
          observation_names: names that make up "proprio" and "objects", for the bundle.

        Raises:
          ValueError: in one line, what of the data set or the work directory does not
            fit.
        """
        self._config, self._options = config, options
        self._data, self._dataset = data, dataset
        self._root = pathlib.Path(workdir)
        self._observation_names = observation_names
        data.load(dataset)
        self._manifest = data.manifest(dataset)
        run = {
            "model": MODEL,
            "config": config.to_dict(),
            "data": _fingerprint(self._manifest),
        }
        started = _read_run(self._root, run)
        self._networks = networks.HelmsNetworks(
            config, _dims(self._held_out(), dataset), data.statistics(dataset)
        )
        self._counter = counting.Counter(prefix="learner")
        self._learner = learning.HelmsLearner(
            config,
            self._networks,
            lambda done: self._batches("train", skip=done),
            self._counter,
            loggers.TimeFilter(_logger(self._root, "train"), time_delta=1.0),
            jit_compile=options.jit_compile,
        )
        self._evaluation_logger = _logger(self._root, "evaluation")
        if started is None:
            # Written before there is a checkpoint, so that none is without it.
            started = {**run, "before": _record(self._evaluate())}
            files.write_json(self._root / _RUN, started)
        self._before = started["before"]
        self._checkpointer = savers.Checkpointer(
            {**self._learner.checkpointables, "counter": self._counter},
            directory=str(self._root),
            subdirectory="skills",
            time_delta_minutes=options.checkpoint_minutes,
            add_uid=False,
        )

    def run(self) -> dict[str, Any]:
        """Trains to the end and writes the results; returns the summary.

        Raises:
          FloatingPointError: training met values that are not finite; nothing of them
            is saved.
        """
        try:
            after = self._train()
        finally:  # also on an interruption: the weights are always those of whole steps
            self._checkpointer.save(force=True)
        seconds = self._counter.get_counts().get("learner_walltime", 0.0)
        steps = self._learner.num_steps
        prior = tf.nn.softmax(self._networks.prior_logits).numpy()
        summary = {
            "model": MODEL,
            "dataset": str(self._dataset),
            "steps": steps,
            "seconds": round(seconds, 3),
            "steps_per_second": round(steps / seconds, 3) if seconds else None,
            "elbo_before": self._before["elbo"],
            "elbo_after": after.elbo,
            "skill_use": list(after.skill_use),
            "transition_prior": prior.tolist(),
            "before": self._before,
            "after": _record(after),
            "config": self._config.to_dict(),
        }
        bundles.save(
            self._root / "skills",
            self._networks,
            self._observation_names,
            data=self._manifest,
            training=summary,
        )
        skill_figures.write_figure(self._root / "skills.png", prior, after.skill_use)
        files.write_json(self._root / "summary.json", summary)
        return summary

    def _train(self) -> learning.Evaluation:
        learner, options = self._learner, self._options
        evaluation = None
        with tqdm.tqdm(
            total=options.steps,
            initial=learner.num_steps,
            desc="skills",
            unit="step",
            disable=not options.show_progress,
        ) as bar:
            while learner.num_steps < options.steps:
                means = learner.step()
                evaluation = None
                bar.set_postfix(loss=f"{means['loss']:.3f}", refresh=False)
                bar.update()
                if learner.num_steps % options.evaluate_every == 0:
                    evaluation = self._evaluate()
                    use = " ".join(f"{share:.2f}" for share in evaluation.skill_use)
                    if options.show_progress:
                        bar.write(
                            f"step {learner.num_steps}: held-out ELBO "
                            f"{evaluation.elbo:.3f}, skill use {use}"
                        )
                self._checkpointer.save()
        return evaluation or self._evaluate()

    def _batches(self, split: str, skip: int = 0) -> Iterable[learning.Batch]:
        return self._data.windows(
            self._dataset,
            split=split,
            batch_size=self._config.batch_size,
            window=self._config.window,
            look_ahead=self._config.look_ahead,
            seed=self._config.seed,
            skip=skip,
        )

    def _held_out(self) -> Iterable[learning.Batch]:
        batches = self._batches("held_out")
        return itertools.islice(batches, self._options.evaluation_batches)

    def _evaluate(self) -> learning.Evaluation:
        evaluation = self._learner.evaluate(self._held_out())
        self._evaluation_logger.write(
            {**evaluation.scalars(), "learner_steps": self._learner.num_steps}
        )
        return evaluation


def describe(summary: Mapping[str, Any]) -> str:
    """A few lines for a terminal: the bound before and after, each skill's use."""
    before, after = summary["before"], summary["after"]
    lines = [
        f"held-out ELBO, nats a step: {before['elbo']:.3f} before, "
        f"{after['elbo']:.3f} after {summary['steps']} steps "
        f"({summary['seconds']:.0f} s)",
        f"action error (mean square):  {before['action_mse']:.4f} before, "
        f"{after['action_mse']:.4f} after",
    ]
    for skill, share in enumerate(summary["skill_use"]):
        bar = "#" * round(40 * share)
        lines.append(f"skill {skill} use: {100 * share:5.1f} % {bar}")
    return "\n".join(lines)


def _read_run(root: pathlib.Path, run: Mapping[str, Any]) -> dict | None:
    """The run that `root` holds, or None where it holds none."""
    if not (root / _RUN).exists():
        if (root / "checkpoints").exists():
            raise ValueError(
                f"{root} holds checkpoints of another program; take another workdir"
            )
        return None
    try:
        found = json.loads((root / _RUN).read_text())
        model, config, data = found["model"], found["config"], found["data"]
        found["before"]["elbo"]
    except (ValueError, KeyError, TypeError) as e:
        raise ValueError(f"{root / _RUN} is not readable ({e})") from e
    if model != run["model"]:
        raise ValueError(
            f"{root} holds a checkpoint of model {model!r}, not {run['model']!r}; take "
            "another workdir"
        )
    for name in sorted(set(config) | set(run["config"])):
        mine, theirs = run["config"].get(name), config.get(name)
        if mine != theirs:
            raise ValueError(
                f"{root} holds a checkpoint with {name} {theirs}, not {mine}; take "
                "another workdir"
            )
    if data != run["data"]:
        raise ValueError(
            f"{root} holds a checkpoint of another data set; take another workdir"
        )
    return found


def _record(evaluation: learning.Evaluation) -> dict[str, Any]:
    """What JSON gives back as it was."""
    return {**evaluation._asdict(), "skill_use": list(evaluation.skill_use)}


def _dims(batches: Iterable[learning.Batch], dataset: str) -> Dims:
    for batch in batches:
        return Dims(
            proprio=int(batch["proprio"].shape[-1]),
            objects=int(batch["objects"].shape[-1]),
            action=int(batch["action"].shape[-1]),
        )
    raise ValueError(f"the data set at {dataset} has no held-out episode")


def _logger(root: pathlib.Path, label: str) -> loggers.Logger:
    """CSV and TensorBoard below root/logs/label."""
    csv = loggers.CSVLogger(str(root), label=label, add_uid=False, flush_every=1)
    board = tf_summary.TFSummaryLogger(
        str(root / "logs" / label), label=label, steps_key="learner_steps"
    )
    return loggers.NoneFilter(loggers.Dispatcher([csv, board], loggers.to_numpy))


def _fingerprint(manifest: Mapping[str, Any]) -> str:
    text = json.dumps(manifest, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
