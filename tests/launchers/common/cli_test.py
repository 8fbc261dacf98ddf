"""What flags become before a command reads them."""

import os
import subprocess
import sys

import pytest

from tests.helpers.commands import ROOT

_PROGRAM = """
from absl import flags
from environments import EnvironmentConfig
from launchers.common import cli, environment_flags
OUT = flags.DEFINE_string("out", None, "")
MANY = flags.DEFINE_list("many", [], "")
ENVIRONMENT = environment_flags.define(EnvironmentConfig(), "object_set")

def main(argv):
    with cli.bad_input():
        print(OUT.value, *MANY.value, *argv[1:], ENVIRONMENT().object_set, sep="|")
        if OUT.value == "loop":
            open("/proc/self/mem/x")

cli.run(main, arguments=1)
"""


def _run(*arguments):
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": "/home/someone"},
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--out=~/run",), "/home/someone/run|4"),
        (
            ("--out=saved_model:~/run", "~"),
            "saved_model:/home/someone/run|/home/someone|4",
        ),
        (("--out=a~b", "--many=~/x,y"), "a~b|/home/someone/x|y|4"),
        (("--out=x", "--object_set=s0,g5,b6"), "x|('s0', 'g5', 'b6')"),
        (("--out=x", "--object_set=random"), "x|random"),
    ],
)
def test_home_directories_and_object_sets(arguments, expected):
    done = _run(*arguments)
    assert done.stdout.strip() == expected, done.stderr


def test_errors_of_files_are_one_line():
    done = _run("--out=loop")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    done = _run("--object_set=s0,g5")
    assert done.returncode == 2 and "three objects" in done.stderr


def test_jax_does_not_warn_of_child_processes():
    program = """
import os, subprocess
from launchers.common import cli
def main(argv):
    import jax
    jax.numpy.zeros(1)
    subprocess.run(["true"], preexec_fn=os.setpgrp)  # as imageio starts FFmpeg
cli.run(main)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_command_that_loads_tensorflow_late_traces_functions_as_tensorflow_2_does():
    """As the commands do that need it only at times, and the nodes of Launchpad."""
    program = """
from absl import app

def main(argv):
    import launchers
    import tensorflow as tf
    is_zero = tf.function(lambda x: x == 0, autograph=False)
    print(is_zero(tf.constant([0, 1])).numpy().tolist())

app.run(main)
"""
    # A parent that has loaded TensorFlow has set the variable for its children.
    env = {k: v for k, v in os.environ.items() if k != "TF2_BEHAVIOR"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)
    assert done.stdout.strip() == "[True, False]", done.stderr
