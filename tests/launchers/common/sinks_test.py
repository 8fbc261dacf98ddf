"""Logs in Weights & Biases and MLflow.

Both are optional, so stand-in modules with the members that the sinks call take their
place here; they record the calls. `requirements-loggers.txt` has the real ones, with
which the last test runs where they are installed.
"""

import importlib.util
import subprocess
import sys
import types
from typing import Any

import numpy as np
import pytest
from acme.utils.loggers import base

from launchers.common import atomic_files, loggers, sinks
from tests.helpers import commands

_RECORD = {"starts": [1], "agent": "mpo", "agent_config": {"n_step": 3}}


@pytest.fixture(name="calls")
def _calls(tmp_path, monkeypatch):
    """Installs the stand-ins; returns what was called, by library."""
    calls: dict[str, list] = {"wandb": [], "mlflow": []}

    def note(library, name, result=None):
        def call(*arguments, **settings):
            calls[library].append((name, *arguments, settings))
            return result

        return call

    names = ("define_metric", "log", "finish")
    run = types.SimpleNamespace(**{name: note("wandb", name) for name in names})
    wandb: Any = types.ModuleType("wandb")
    wandb.init = note("wandb", "init", run)
    wandb.Settings = dict

    mlflow: Any = types.ModuleType("mlflow")
    info = types.SimpleNamespace(info=types.SimpleNamespace(run_id="r1"))
    client = types.SimpleNamespace(
        get_experiment_by_name=lambda name: None,
        create_experiment=note("mlflow", "create_experiment", "e1"),
        create_run=note("mlflow", "create_run", info),
        log_batch=note("mlflow", "log_batch"),
        set_terminated=note("mlflow", "set_terminated"),
    )
    mlflow.MlflowClient = note("mlflow", "client", client)
    mlflow.entities = types.SimpleNamespace(
        Metric=lambda key, value, time, step: (key, value, step),
        Param=lambda key, value: (key, value),
    )
    for module in (wandb, mlflow):
        module.__spec__ = types.SimpleNamespace(origin="here")
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    atomic_files.write_json(tmp_path / "config.json", _RECORD)
    # Files of events of a process are read in the order of their numbers as text, by
    # which tests of other modules would see those from the tenth on first.
    monkeypatch.setattr(loggers, "_TensorBoard", lambda *_: base.NoOpLogger())
    return calls


def _logger(tmp_path, *names):
    return loggers.make_logger(str(tmp_path), "learner", "learner_steps", 0.0, names)


@pytest.mark.doors
def test_wandb_gets_the_numbers_over_the_steps_of_the_node(calls, tmp_path):
    for steps in (5, 3):  # the second start resumes, and takes steps again
        logger = _logger(tmp_path, "wandb")
        logger.write({"learner_steps": np.int64(steps), "loss": np.float32(0.5)})
        logger.close()
    kinds = [call[0] for call in calls["wandb"]]
    assert kinds == 2 * ["init", "define_metric", "log", "finish"]
    (_, first), *_, (_, second) = [c for c in calls["wandb"] if c[0] == "init"]
    assert first["id"] == second["id"] and first["resume"] == "allow"
    assert first["project"] == "helms" and first["dir"] == str(tmp_path)
    assert first["name"] == f"{first['group']}/learner"
    assert first["config"] == {"agent": "mpo", "agent_config.n_step": 3}
    assert calls["wandb"][1] == ("define_metric", "*", {"step_metric": "learner_steps"})
    assert calls["wandb"][2] == ("log", {"learner_steps": 5.0, "loss": 0.5}, {})


@pytest.mark.doors
def test_mlflow_gets_the_numbers_with_their_step(calls, tmp_path):
    for steps in (5, 6):
        logger = _logger(tmp_path, "mlflow")
        logger.write({"learner_steps": steps, "loss": 0.5})
        logger.close()
    names = [call[0] for call in calls["mlflow"]]
    assert names.count("create_run") == 1 and names.count("set_terminated") == 2
    assert calls["mlflow"][0][1]["tracking_uri"] == f"sqlite:///{tmp_path}/mlflow.db"
    params, first, second = [c[-1] for c in calls["mlflow"] if c[0] == "log_batch"]
    assert ("agent_config.n_step", "3") in params["params"]
    assert first["metrics"] == [("learner_steps", 5.0, 5), ("loss", 0.5, 5)]
    assert second["metrics"][1] == ("loss", 0.5, 6)


def test_a_sink_that_fails_is_named_once_and_costs_nothing(
    calls, tmp_path, monkeypatch
):
    def fail(**settings):
        raise RuntimeError("no API key")

    monkeypatch.setattr(sys.modules["wandb"], "init", fail)
    said: list[str] = []
    monkeypatch.setattr(sinks.logging, "error", said.append)
    logger = _logger(tmp_path, "wandb", "mlflow")
    for steps in range(3):
        logger.write({"learner_steps": steps})
    logger.close()
    (line,) = said
    assert "the logger wandb failed and continues (RuntimeError: no API key" in line
    assert len(loggers.read_rows(str(tmp_path), "learner")) == 3
    assert [c[0] for c in calls["mlflow"]].count("log_batch") == 4


def test_a_private_network_reaches_no_server(calls, monkeypatch):
    sinks.check(("wandb", "mlflow"))
    with pytest.raises(ValueError, match="WANDB_MODE=offline, or give --noprivate"):
        sinks.check_reach(("wandb",))
    monkeypatch.setenv("WANDB_MODE", "offline")
    sinks.check_reach(("wandb", "mlflow"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    with pytest.raises(ValueError, match="needs http://tracker:5000"):
        sinks.check_reach(("mlflow",))


def test_an_unknown_one_is_refused():
    with pytest.raises(ValueError, match="unknown logger 'wand'; valid: wandb, mlflow"):
        sinks.check(["wand"])


def test_what_is_not_installed_is_said_with_the_way_to_install_it(monkeypatch):
    for found in (None, types.SimpleNamespace(origin=None)):  # as of a folder wandb/
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, f=found: f)
        with pytest.raises(ValueError, match="install -r requirements-loggers.txt$"):
            sinks.check(["wandb"])


_REAL = """
import sys
from launchers.common import loggers
logger = loggers.make_logger(sys.argv[1], "learner", "steps", 0.0, ("wandb", "mlflow"))
for steps in (1, 2):
    logger.write({"steps": steps, "loss": 1.0 / steps})
"""


@pytest.mark.doors
def test_the_real_ones_offline(tmp_path):
    pytest.importorskip("wandb")
    mlflow = pytest.importorskip("mlflow")
    atomic_files.write_json(tmp_path / "config.json", _RECORD)
    home = {"HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", _REAL, str(tmp_path)],
        env={"WANDB_MODE": "offline", "PYTHONPATH": str(commands.ROOT), **home},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "the logger" not in done.stderr, done.stderr
    assert len(list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))) == 1
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    run = client.get_run((tmp_path / "logs" / "learner" / "mlflow.id").read_text())
    assert run.info.status == "FINISHED"
    assert run.data.params["agent_config.n_step"] == "3"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 1.0), (2, 0.5)]
