"""The real command on small data sets."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from datasets.rlds import reader, schema
from datasets.validation import inspection
from launchers.inspection import report
from tests.helpers import commands, dataset_files

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _run(*arguments, gl=False):
    return subprocess.run(
        [sys.executable, "-m", "launchers.inspect_dataset", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | ({} if gl else {"MUJOCO_GL": "disable"}),
        capture_output=True,
        text=True,
        timeout=120,
    )


def _messages(run):
    """Lines on standard error without the progress bar."""
    lines = run.stderr.replace("\r", "\n").splitlines()
    return [line for line in lines if line.strip() and "%|" not in line]


def test_a_clean_data_set_is_described_and_drawn(tmp_path):
    data = dataset_files.write(
        tmp_path / "data", dataset_files.examples(4, camera=True)
    )
    out = tmp_path / "new" / "figures"
    run = _run(data, f"--out={out}", "--figure_episodes=2")
    assert run.returncode == 0, run.stderr
    (note,) = _messages(run)
    assert note.startswith("note: no contact sheets and videos: MUJOCO_GL=disable")
    assert "4 episodes read of 4, 48 control steps, 2 files" in run.stdout
    assert "stack_red_blue" in run.stdout and "50.0 %" in run.stdout
    early = next(line for line in run.stdout.splitlines() if "early" in line)
    assert early.split() == ["early", "75.0", "%", "100.0", "%"]
    for name in ("action[4]", "wrist/force[2]", "wrist/angle", "mass", "red: s0 4"):
        assert name in run.stdout
    assert {f.name for f in out.iterdir()} == {
        "histograms.png",
        "episode_00000.png",
        "episode_00000_front_pixels.png",
        "episode_00003.png",
        "episode_00003_front_pixels.png",
    }
    for path in out.iterdir():
        dark = np.asarray(Image.open(path).convert("L")) < 200
        assert dark.mean() > (0.2 if "pixels" in path.name else 0.02), path.name


@pytest.mark.gl
@pytest.mark.slow
def test_episodes_are_drawn_again_from_their_poses(tmp_path):
    episodes = dataset_files.examples(3)
    episodes[2]["episode_metadata"]["object_set"] = 0
    data = dataset_files.write(tmp_path / "data", episodes)
    out = tmp_path / "figures"
    run = _run(data, f"--out={out}", "--figure_episodes=3", "--video", gl=True)
    assert run.returncode == 0, run.stderr
    (note,) = _messages(run)
    assert "episode 2 (record 0): no contact sheet: its metadata do not say" in note
    names = {f.name for f in out.iterdir()} - {"histograms.png", "episode_00002.png"}
    assert names == {
        f"episode_0000{i}{what}"
        for i in range(2)
        for what in (".png", "_view.png", ".mp4")
    }
    view = np.asarray(Image.open(out / "episode_00000_view.png").convert("L"))
    assert (view < 200).mean() > 0.2


def test_problems_are_named_one_a_line_and_exit_2(tmp_path):
    episodes = dataset_files.examples(6)
    episodes[0]["steps"]["action"][3, 0] = 2.0
    episodes[1]["steps"]["observation"]["wrist/angle"][2, 0] = np.nan
    data = dataset_files.write(tmp_path / "data", episodes)
    first, second, third = (schema.shard_name(i, 3) for i in range(3))
    (data / second).unlink()
    (data / third).write_bytes((data / third).read_bytes()[:-1])
    run = commands.run("launchers.inspect_dataset", str(data))
    assert run.returncode == 2
    lines = _messages(run)
    assert len(lines) == 4, run.stderr
    assert lines[0].startswith(
        f"problem: {first}: episode 0 (record 0): action[0] is 2"
    )
    assert lines[1].startswith(f"problem: {first}: episode 1 (record 1): wrist/angle")
    assert lines[2].startswith(f"problem: {second}: missing, with 2 episodes")
    assert lines[3].startswith(f"problem: {third}: episode 5 (record 1): truncated")
    assert "3 episodes read of 6" in run.stdout


@pytest.mark.slow
def test_warnings_alone_exit_0(tmp_path):
    episodes = dataset_files.examples(4)
    dataset_files.set_frame(episodes[2], "wrist/force", 5, [1e3, 0, 0])
    run = _run(dataset_files.write(tmp_path / "data", episodes))
    assert run.returncode == 0
    (line,) = _messages(run)
    assert line.startswith("warning: ") and "episode 2" in line


def _report(directory):
    source = reader.Records(directory)
    found = inspection.Inspection(source)
    for episode in source.episodes(found.report):
        found.add(episode)
    return [line.split() for line in report.lines(found, source)]


def test_success_and_returns_are_shown_by_task_and_set_and_overall(tmp_path):
    episodes = dataset_files.examples(4)
    episodes[3]["episode_metadata"] |= {"task": "pyramid", "object_set": 0}
    for episode, reward in zip(episodes, (0.25, 0.5, 0.75, 1.0), strict=True):
        episode["steps"]["reward"][:-1] = reward
    lines = _report(dataset_files.write(tmp_path / "data", episodes))
    returns = ["12.0", "0.0", "12.0", "12.0", "12.0"]
    assert ["pyramid", "random", "1", "12", "0.0", "%", *returns] in lines
    returns = ["6.0", "2.4", "3.0", "6.0", "9.0"]  # 3, 6 and 9
    assert ["stack_red_blue", "4", "3", "12", "66.7", "%", *returns] in lines
    returns = ["7.5", "3.4", "3.0", "7.5", "12.0"]
    assert ["all", "4", "12", "50.0", "%", *returns] in lines


def test_how_many_were_tried_is_shown(tmp_path):
    data = dataset_files.write(tmp_path / "data", dataset_files.examples(2))
    (data / "manifest.json").write_text('{"episodes": 2, "tried": 9}')
    line = "kept 2 of 9 episodes that were tried"
    assert line in map(" ".join, _report(data))


@pytest.mark.slow
def test_a_reader_that_leaves_early_does_no_harm(tmp_path):
    data = dataset_files.write(tmp_path / "data", dataset_files.examples(2))
    command = [sys.executable, "-m", "launchers.inspect_dataset", str(data)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read().decode()
        assert process.wait(60) == 0, errors
    assert "Broken" not in errors


def test_data_sets_with_no_metadata_are_shown(tmp_path):
    data = dataset_files.write_plain(tmp_path / "data", dataset_files.examples(2))
    (row,) = (line for line in _report(data) if line[:2] == ["unknown"] * 2)
    assert row[2:5] == ["2", "12", "unknown"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tests"], "tests is not a data set: it has no dataset_info.json"),
        ([], "which data set?"),
        (["tests", "--video"], "--video needs --out=DIR"),
        (["one", "two"], "unexpected argument 'two'"),
    ],
)
def test_bad_input_gets_one_line_and_exit_2(arguments, message):
    run = commands.run("launchers.inspect_dataset", *arguments)
    assert run.returncode == 2
    assert message in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr
