"""The command: numbers by hand, files that are whole, bad input in one line."""

import csv
import json

import numpy as np
import pytest
from scipy import stats

from launchers.common import atomic_files
from launchers.comparison import page
from tests.helpers import commands, finished_runs
from tests.helpers.html_pages import Parser

_FILES = {
    *("comparison.html", "comparison.json", "curves.csv", "groups.csv"),
    *("final.png", "return.png", "success.png"),
}


@pytest.fixture(name="directories", scope="module")
def _directories(tmp_path_factory):
    """Two seeds of one group, and one of another that never succeeds."""
    root = tmp_path_factory.mktemp("runs")
    zeros = [0] * 8
    for name, returns, successes, settings in (
        ("a0", [*zeros, 2.0, 4.0], [*zeros, 1, 1], {"seed": 0}),
        ("a1", [*zeros, 4.0, 6.0], [*zeros, 0, 1], {"seed": 1}),
        ("b", [1.0] * 10, [0] * 10, {"n_step": 3}),
    ):
        finished_runs.write(root / name, returns, successes, **settings)
    return [str(root / name) for name in ("a0", "a1", "b")]


def test_the_numbers(directories, tmp_path):
    done = commands.run("launchers.compare", *directories, f"--out={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    first, second = result["mpo, n_step=1"], result["mpo, n_step=3"]
    # Means of the last fifth are 3 and 5; Student's quantile of one degree of freedom.
    assert first["return"]["runs"] == [3.0, 5.0] and first["return"]["value"] == 4.0
    assert first["return"]["high"] == pytest.approx(4.0 + 12.7062, abs=1e-4)
    assert first["area"]["value"] == pytest.approx(0.8)
    assert first["success"]["runs"] == [1.0, 0.5]
    interval = stats.binomtest(3, 4).proportion_ci(0.95, "wilson")
    assert first["success"]["low"] == pytest.approx(interval.low)
    assert first["success"]["episodes"] == 4
    assert second["success"]["value"] == 0.0 and second["return"]["low"] is None
    assert first["actor_steps"] == [4000, 4000] and second["episodes"] == [10]
    root = tmp_path / "out"
    assert {path.name for path in root.iterdir()} == _FILES
    saved = atomic_files.read_json(root / "comparison.json")
    assert saved["differing_settings"] == {"n_step": ["1", "3"]}
    assert saved["groups"]["mpo, n_step=1"]["return"] == first["return"]
    with (root / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    ends = {
        (row["group"], row["value"], row["axis"]): (float(row["x"]), float(row["mean"]))
        for row in rows
    }
    # Five bins of two episodes: of 800 steps, and of 20 s.
    assert ends["mpo, n_step=1", "return", "environment steps"] == (3600.0, 4.0)
    x, mean = ends["mpo, n_step=1", "success", "hours"]
    assert 3600 * x == pytest.approx(90.0) and mean == 0.75


def test_the_page_is_one_file_that_opens_offline(directories, tmp_path):
    page.compare(directories, str(tmp_path))
    parser = Parser()
    parser.feed((tmp_path / page.PAGE).read_text())
    assert parser.open == []
    assert all(r.startswith(("#", "data:image/png;base64,")) for r in parser.references)
    assert parser.tags.count("img") == 3 and "script" not in parser.tags
    assert "n_step" in parser.text
    assert "75 % (30 to 95) of 4" in parser.text


def test_an_environment_without_successes_has_no_such_figure(tmp_path):
    workdir = finished_runs.write(tmp_path / "a", [1.0, 3.0], [np.nan] * 2)
    summary = page.compare([str(workdir)], str(tmp_path / "out"))["mpo"]
    assert summary["success"] is None and summary["return"]["value"] == 3.0
    assert not (tmp_path / "out" / "success.png").exists()


def test_bad_input_gets_one_line_and_exit_2(directories, tmp_path):
    out = tmp_path / "out"
    for arguments, words in (
        ([f"--out={out}"], "which runs?"),
        (directories, "--out is required"),
        ([*directories, str(tmp_path), f"--out={out}"], "no run in"),
        ([*directories, f"--out={directories[0]}"], "is the workdir of a run"),
    ):
        done = commands.run("launchers.compare", *arguments)
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith("error: ") and words in line
    assert list(tmp_path.iterdir()) == []
