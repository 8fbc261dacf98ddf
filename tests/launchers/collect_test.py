"""The real command with tiny flags."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from environments import objects
from tests.helpers import commands, inspections

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _command(*flags):
    return [sys.executable, "-m", "launchers.collect", *flags]


def _run(*flags):
    return commands.run("launchers.collect", *flags)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--task=juggle", "stack_red_blue"),
        ("--task=lift_red", "stack_red_blue"),
        ("--reward=praise", "staged_sparse"),
        ("--object_set=9", "1, 2, 3, 4, 5"),
        ("--max_action_delay=7", "0, 1, 2"),
        ("--expert=clever", "PATH, random, random:STEPS, checkpoint:DIR"),
        ("--expert=checkpoint:/x", "no run in /x"),
        ("--expert=saved_model:/x", "/x holds no SavedModel"),
        ("--dataset=best", "red_on_blue_stacking, all_pairs_stacking"),
        ("--dataset=all_pairs_stacking --task=stack_red_blue", "leave --task out"),
        ("--object_set=4 --dataset=red_on_blue_stacking", "leave --object_set out"),
        ("--keep=some", "all, successes"),
        ("--episodes=0", "episodes is 0"),
        ("--episodes=many", "episodes"),
        ("--processes=0", "processes is 0"),
        ("--cameras=ceiling", "basket_front_left"),
        ("--image_size=32", "--image_size is of the images of --cameras"),
        ("--cameras=basket_front_left --image_size=0", "image size (0, 0)"),
    ],
)
def test_bad_flags_get_one_line_and_exit_2(tmp_path, flag, message):
    run = _run(f"--out={tmp_path / 'data'}", *flag.split())
    assert run.returncode == 2, run.stderr
    assert message in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr
    assert not (tmp_path / "data").exists()


def test_collects_continues_and_refuses(tmp_path):
    out = tmp_path / "data"
    flags = (f"--out={out}", "--episodes=2", "--episodes_per_shard=1")
    process = subprocess.Popen(
        _command(*flags, "--processes=1"),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not list(out.glob("helms_stacking*")):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)  # of a scheduler; it is as Ctrl-C
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted: 1 of 2 files are written" in errors.splitlines()[-1]
    assert "Traceback" not in errors

    run = _run(*flags)
    assert run.returncode == 0, run.stderr
    builder = tfds.builder_from_directory(str(out))
    assert builder.info.splits["train"].num_examples == 2
    for example in builder.as_dataset(split="train"):
        assert len(list(example["steps"])) == 401
    phases = json.loads((out / "manifest.json").read_text())["expert_phases"]
    assert phases

    (out / ".tmp.4194304.metadata").mkdir()  # of a kill after the last file
    again = _run(*flags)
    assert not list(out.glob(".tmp*"))
    assert again.returncode == 0 and "is complete: 2 episodes" in again.stdout

    other = _run(*flags, "--seed=1")
    assert other.returncode == 2
    assert "seed 0, not 1" in other.stderr
    assert len(other.stderr.strip().splitlines()) == 1


@pytest.mark.gl
@pytest.mark.slow
def test_images_of_cameras_are_recorded(tmp_path):
    cameras = ("basket_front_left", "basket_back_left")
    out = tmp_path / "data"
    run = subprocess.run(
        _command(
            f"--out={out}",
            "--episodes=1",
            "--expert=scripted",
            f"--cameras={','.join(cameras)}",
            "--image_size=32",
        ),
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "MUJOCO_GL"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    (episode,) = tfds.builder_from_directory(str(out)).as_dataset(split="train")
    steps = [tfds.as_numpy(step)["observation"] for step in episode["steps"]]
    assert len(steps) == 401
    for camera in cameras:
        images = np.stack([step[f"{camera}/pixels"] for step in steps])
        assert images.shape == (401, 32, 32, 3) and images.dtype == np.uint8
        assert (images[0] != images[-1]).any() and images.std() > 10
    found, _ = inspections.inspect(out)
    assert list(map(str, found.problems)) == []
    assert len(found.images) == 2


@pytest.mark.slow
def test_a_named_data_set_of_successes(tmp_path):
    flags = ("--dataset=all_pairs_stacking", "--episodes=2", "--keep=successes")
    run = _run(f"--out={tmp_path}", *flags)
    assert run.returncode == 0, run.stderr
    episodes = tfds.builder_from_directory(str(tmp_path)).as_dataset(split="train")
    metadata = [tfds.as_numpy(e["episode_metadata"]) for e in episodes]
    assert len(metadata) == 2 and all(m["success"] for m in metadata)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["tried"] == max(m["episode_index"] for m in metadata) + 1
    rows = manifest["success_by_combination"]
    for m in metadata:
        row = rows[m["episode_index"] % 30]
        assert row["task"] == m["task"].decode()
        assert row["object_set"] == m["object_set"]
        assert row["successes"] == 1
        red = json.loads(m["randomization"])["object_red"]
        assert red == objects.SETS[int(m["object_set"])][0]
    assert "success, %             set 1" in run.stdout
    assert "\nstack_red_green   " in run.stdout
