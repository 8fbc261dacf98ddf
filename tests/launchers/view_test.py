"""The real command, headless."""

import os
import pathlib
import subprocess
import sys

import imageio.v2 as imageio
import pytest

from tests.helpers import commands

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*flags):
    hidden = {"DISPLAY", "WAYLAND_DISPLAY"}
    return subprocess.run(
        [sys.executable, "-m", "launchers.view", *flags],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k not in hidden},
        capture_output=True,
        text=True,
        timeout=250,
    )


@pytest.mark.gl
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("view.mp4", ("--policy=scripted", "--domain_randomization")),
        ("view.gif", ("--task=pyramid", "--object_set=random", "--preset=reference")),
        ("view.png", ("--policy=still", "--camera=basket_back_left")),
    ],
)
def test_writes_a_video(tmp_path, name, flags):
    path = tmp_path / "new" / name
    result = run(f"--video={path}", "--steps=3", "--size=160x120", *flags)
    assert result.returncode == 0, result.stderr
    assert "3 steps of 1 episodes" in result.stdout
    assert "Traceback" not in result.stderr and "Exception" not in result.stderr
    frames = imageio.mimread(path)
    # A reset and three steps; a gif does not repeat a frame that did not change.
    assert len(frames) == 1 if name.endswith("png") else 1 < len(frames) <= 4
    assert frames[0].shape[:2] == (120, 160)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--steps=1", "there is no display for a window; --video=FILE.mp4"),
        ("--video=x.avi", ".mp4, .gif, .png"),
        ("--camera=roof", "basket_front_left"),
        ("--policy=clever", "random, still, scripted"),
        ("--size=big", "640x480"),
        ("--task=juggle", "stack_red_blue"),
        ("--object_set=9", "1, 2, 3, 4, 5"),
        ("--preset=magic", "reference"),
        ("--steps=-1", "from 0"),
    ],
)
def test_bad_flags_get_one_line_and_exit_2(tmp_path, flag, message):
    path = tmp_path / "view.mp4"
    if message.startswith("there is no"):
        result = run(flag)
    else:
        result = commands.run("launchers.view", f"--video={path}", flag)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert not path.exists()
