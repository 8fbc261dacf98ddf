"""Sinks of a run's logs beside its files: Weights & Biases and MLflow.

They are Acme loggers over libraries of requirements-loggers.txt, which are imported
only where a run asks for them. Each node is a run there, which a resumed one continues.
The libraries' environment variables hold (WANDB_PROJECT, WANDB_MODE,
MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME). Files are in the work directory.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import pathlib
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from absl import logging
from acme.utils.loggers import base

from launchers.common import atomic_files
from launchers.common.guard import Guard

_PROJECT = "helms"  # also MLflow's experiment


def check(names: Collection[str]) -> None:
    """Checks that sinks are known and installed.

    Raises:
      ValueError: in one line, which is not, and how to install it.
    """
    for name in names:
        if name not in _SINKS:
            raise ValueError(f"unknown logger {name!r}; valid: {', '.join(_SINKS)}")
        found = importlib.util.find_spec(name)
        if (
            found is None or found.origin is None
        ):  # a directory of results is no package
            raise ValueError(
                f"logger {name} is not installed; install it by .venv/bin/pip install "
                "-r requirements-loggers.txt"
            )


def check_reach(names: Collection[str]) -> None:
    """Checks that no sink needs another host, which a private network does not reach.

    Raises:
      ValueError: in one line, which does, and what to do.
    """
    if "wandb" in names and os.environ.get("WANDB_MODE") not in ("offline", "disabled"):
        raise ValueError(
            "logger wandb needs another host, which a run in a private network does "
            "not reach: set WANDB_MODE=offline, or give --noprivate_network"
        )
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if "mlflow" in names and uri.startswith("http"):
        raise ValueError(
            f"logger mlflow needs {uri}, which a run in a private network does not "
            "reach: unset MLFLOW_TRACKING_URI or give --noprivate_network"
        )


def make(
    names: Sequence[str], workdir: str, node: str, steps_key: str
) -> list[base.Logger]:
    """Makes the sinks of a node, which open at their first row.

    A sink that fails is named once on standard error, and the run continues without it.

    Args:
      names: names of the sinks.
      workdir: work directory of the run.
      node: name of the node, as learner, actor_0 or evaluator.
      steps_key: name of the value that is the step.
    """
    directory = pathlib.Path(workdir)
    return [_Sink(name, directory, node, steps_key) for name in names]


class _Sink(base.Logger):
    """Logger that opens its library at the first row, and outlives its failures."""

    def __init__(self, name: str, workdir: pathlib.Path, node: str, steps_key: str):
        self._open: Callable[[], base.Logger] | None = lambda: _SINKS[name](
            workdir, node, steps_key
        )
        self._to: base.Logger | None = None
        self._guard = Guard(f"the logger {name}", logging.error)

    def write(self, data: Mapping[str, Any]) -> None:
        """Writes the numbers of a row."""
        with self._guard:
            if self._open is not None:
                begin, self._open = self._open, None  # is tried once
                self._to = begin()
                atexit.register(self.close)  # experiments close no logger
            if self._to is not None:
                self._to.write({key: float(value) for key, value in data.items()})

    def close(self) -> None:
        """Ends the run there."""
        with self._guard:
            if self._to is not None:
                to, self._to = self._to, None
                to.close()


class _WandB(base.Logger):
    def __init__(self, workdir: pathlib.Path, node: str, steps_key: str):
        import wandb

        label = _label(workdir)
        online = os.environ.get("WANDB_MODE") != "offline"
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", _PROJECT),
            dir=str(workdir),
            group=label,
            job_type=node,
            name=f"{label}/{node}",
            id=_id(workdir, node, "wandb", lambda: uuid.uuid4().hex),
            resume="allow" if online else None,
            config=_settings(workdir),
            reinit="create_new",  # one process has several nodes
            settings=wandb.Settings(silent=True, console="off"),
        )
        # Not its own step, which may not fall: a resumed run takes steps again.
        self._run.define_metric("*", step_metric=steps_key)

    def write(self, data: Mapping[str, Any]) -> None:
        self._run.log(dict(data))

    def close(self) -> None:
        self._run.finish()


class _MLflow(base.Logger):
    def __init__(self, workdir: pathlib.Path, node: str, steps_key: str):
        import mlflow
        from mlflow import entities

        uri = os.environ.get("MLFLOW_TRACKING_URI")
        self._client = mlflow.MlflowClient(
            tracking_uri=uri or f"sqlite:///{workdir.resolve()}/mlflow.db"
        )
        self._metric, self._param = entities.Metric, entities.Param
        self._steps_key = steps_key
        self._id = _id(workdir, node, "mlflow", lambda: self._begin(workdir, node))

    def _begin(self, workdir: pathlib.Path, node: str) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
        experiment = self._client.get_experiment_by_name(name)
        number = (
            self._client.create_experiment(name)
            if experiment is None
            else experiment.experiment_id
        )
        run = self._client.create_run(number, run_name=f"{_label(workdir)}/{node}")
        params = [self._param(k, str(v)) for k, v in _settings(workdir).items()]
        self._client.log_batch(run.info.run_id, params=params)
        return run.info.run_id

    def write(self, data: Mapping[str, Any]) -> None:
        now, step = round(1000 * time.time()), int(data.get(self._steps_key, 0))
        metrics = [self._metric(key, value, now, step) for key, value in data.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def close(self) -> None:
        self._client.set_terminated(self._id)


_SINKS: dict[str, Callable[[pathlib.Path, str, str], base.Logger]] = {
    "wandb": _WandB,
    "mlflow": _MLflow,
}


def _label(workdir: pathlib.Path) -> str:
    return "/".join(workdir.resolve().parts[-2:])


def _id(workdir: pathlib.Path, node: str, sink: str, make: Callable[[], str]) -> str:
    """Returns the node's id there, which its first start keeps for the next ones."""
    path = workdir / "logs" / node / f"{sink}.id"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.write_text(path, make())
    return path.read_text()


def _settings(workdir: pathlib.Path) -> dict[str, Any]:
    """Returns the settings in the run's record, by names as `agent_config.n_step`."""
    path = workdir / "config.json"
    record = atomic_files.read_json(path) if path.exists() else {}
    record.pop("starts", None)
    settings: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            settings |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            settings[name] = value
    return settings
