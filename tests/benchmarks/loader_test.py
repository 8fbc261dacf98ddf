"""The command as outside checks run it, and the data set it makes."""

import json
import pathlib

import numpy as np
import pytest

from benchmarks import loader as benchmark
from datasets import loader
from tests.helpers import commands, dataset_files

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _run(*arguments):
    return commands.run("benchmarks.loader", *map(str, arguments))


def test_the_noise_has_the_real_sizes(tmp_path):
    benchmark.write_noise(tmp_path, 13)
    data = loader.load(tmp_path)
    np.testing.assert_array_equal(data.lengths, [401] * 13)
    assert np.unique(data.proprio.numpy(), axis=0).shape[0] == 401


@pytest.mark.slow
def test_the_last_line_has_the_figures(tmp_path):
    data = dataset_files.write(tmp_path / "data", dataset_files.examples(3))
    run = _run(f"--dataset={data}", "--seconds=0.4")
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout.splitlines()[-1])
    assert result["windows_per_second"] > result["learner_windows_per_second"] > 0
    assert all(np.isfinite(value) and value > 0 for value in result.values())
    assert result["episodes"] == 3 and result["frames"] == 39


@pytest.mark.parametrize(
    ("argument", "message"),
    [("--dataset=tests", "is not a data set"), ("--seconds=0", "valid: above 0")],
)
def test_bad_input_gets_one_line_and_exit_2(argument, message):
    run = _run(argument)
    assert run.returncode == 2
    assert message in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr
