"""The real main of offline learning with tiny flags, killed, and what it refuses."""

import contextlib
import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from agents import registry
from agents.registry import MODELS
from environments import observations
from tests.helpers import commands, dataset_files
from tests.helpers.offline_models import checkpoint_contents

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = ("--hidden_sizes=8,8", "--batch_size=4", "--window=5", "--eval_batches=2")


@pytest.fixture(name="dataset", scope="module")
def _dataset(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "noise"
    dataset_files.write(directory, dataset_files.examples(6))
    return directory


@contextlib.contextmanager
def _start(*flags):
    process = subprocess.Popen(
        [sys.executable, "-m", "launchers.train_skills", *flags],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _run(*flags):
    with _start(*flags) as process:
        out, errors = process.communicate()
    return process.returncode, out, errors


def _evaluated_steps(workdir):
    with open(workdir / "logs" / "evaluation" / "logs.csv") as file:
        return [float(row["learner_steps"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    "model",
    ["helms", *(pytest.param(m, marks=pytest.mark.slow) for m in [*MODELS][1:])],
)
def test_every_model_trains_and_its_bundle_acts(dataset, tmp_path, model):
    finger = "bernoulli" if model in ("helms", "bc") else "gaussian"
    done = commands.run(
        "launchers.train_skills",
        f"--dataset={dataset}",
        f"--workdir={tmp_path}",
        f"--model={model}",
        f"--finger={finger}",
        "--steps=6",
        "--eval_every=3",
        *TINY,
        eagerly=True,
    )
    assert done.returncode == 0, done.stderr
    out = done.stdout
    assert f"model {model}: 6 steps" in out
    assert out.count("held-out ELBO ") >= 3  # a line an evaluation
    assert "log-likelihood" in out and "train ELBO" in " ".join(out.split())
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["model"], summary["steps"]) == (model, 6)
    assert np.isfinite(summary["after"]["log_likelihood"])
    sizes = observations.GROUP_SIZES
    loaded = registry.load_bundle(
        tmp_path / "skills", sizes["proprio"], sizes["objects"], 5, model=model
    )
    assert loaded.finger == finger
    assert loaded.description["training"]["best_step"] == summary["best_step"]
    assert (tmp_path / "skills.png").exists() == (model == "helms")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["helms", "npmp"])
def test_killed_and_continued_equals_one_in_one_go_bit_for_bit(
    dataset, tmp_path, model
):
    flags: tuple[str, ...] = (
        f"--dataset={dataset}",
        f"--model={model}",
        "--steps=50",
        "--eval_every=7",
        "--checkpoint_minutes=0",  # at every step
        *TINY,
    )
    if model == "npmp":
        flags += ("--prior_coefficient=0.95",)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert _run(*flags, f"--workdir={whole}")[0] == 0
    with _start(*flags, f"--workdir={parts}") as process:
        checkpoints = parts / "checkpoints" / "skills"
        saved = 0
        while saved < 12:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
            found = [int(p.stem[5:]) for p in checkpoints.glob("ckpt-*.index")]
            saved = max(found, default=0)
        process.send_signal(signal.SIGKILL)
    contents = checkpoint_contents(parts)
    done = np.frombuffer(contents["num_steps/.ATTRIBUTES/VARIABLE_VALUE"], np.int64)
    assert 10 <= done < 50
    assert not (parts / "skills").exists()

    code, _, errors = _run(*flags, f"--workdir={parts}")
    assert code == 0, errors
    first, second = checkpoint_contents(whole), checkpoint_contents(parts)
    assert sorted(first) == sorted(second)
    groups = {name.split("/")[0] for name in first}
    assert groups == {"networks", "num_steps", "optimizer", "selection"}
    for name, value in first.items():
        assert value == second[name], name
    checksums = [
        registry.load_bundle(workdir / "skills").description["checksum"]
        for workdir in (whole, parts)
    ]
    assert checksums[0] == checksums[1]
    steps = [_evaluated_steps(workdir) for workdir in (whole, parts)]
    assert steps[0] == steps[1] == [*range(0, 50, 7), 50]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--model=dance"], "unknown model 'dance'; valid: helms, npmp, bc, hierar"),
        (["--model=bc", "--num_skills=3"], "model bc has no num_skills; it has hidden"),
        (["--model=npmp", "--beta_y=1"], "model npmp has no beta_y; it has look_ahe"),
        (["--variant=continuous", "--num_skills=3"], "num_skills must be 1, got 3"),
        (["--variant=other"], "unknown variant 'other'; valid: full, discrete, conti"),
        (["--hidden_sizes=a,b"], "hidden_sizes must be integers, got a,b"),
        (["--learning_rate_schedule=step"], "'step'; valid: constant, cosine"),
        (["--finger=thumb"], "unknown finger 'thumb'; valid: gaussian, bernoulli"),
        (["--patience=-1"], "patience must be at least 0, got -1"),
        ([], "does not exist"),
    ],
)
def test_bad_input_to_the_command_is_one_line_and_exit_2(tmp_path, flags, message):
    shared = (f"--dataset={tmp_path / 'none'}", f"--workdir={tmp_path / 'out'}")
    done = commands.run("launchers.train_skills", *shared, *flags)
    assert done.returncode == 2
    errors = done.stderr
    lines = [x for x in errors.splitlines() if x.startswith("error: ")]
    assert len(lines) == 1 and message in lines[0]
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()
