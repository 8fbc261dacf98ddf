"""Who computes with oneDNN: learners do, actors do not, the user's word counts."""

import os
import pathlib
import subprocess
import sys

import pytest

from launchers.common import onednn
from launchers.distributed import process_env

ROOT = pathlib.Path(__file__).resolve().parents[3]
_SHOW = """
import {first}
from tensorflow.python.framework import test_util
print(test_util.IsMklEnabled())
"""


@pytest.fixture
def no_choice(monkeypatch):
    """An environment in which nobody chose."""
    for name in (onednn.VARIABLE, onednn._OURS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def _of(group):
    return process_env.variables(group)[onednn.VARIABLE]


def test_learners_have_it_and_actors_have_not(no_choice):
    before = dict(os.environ)
    onednn.choose()
    assert onednn.undecided(os.environ) == before
    assert os.environ[onednn.VARIABLE] == "1"
    assert [_of(g) for g in ("learner", "replay", "actor", "evaluator")] == list("1100")
    # A node that is a process, or a command that another one runs, decides the same.
    os.environ.update(onednn.variables(acts=True))
    onednn.choose()
    assert os.environ[onednn.VARIABLE] == "0"
    assert (_of("learner"), _of("actor")) == ("1", "0")


@pytest.mark.parametrize("value", ["0", "1"])
def test_the_user_decides_for_all(no_choice, monkeypatch, value):
    monkeypatch.setenv(onednn.VARIABLE, value)
    onednn.choose()
    assert os.environ[onednn.VARIABLE] == value
    assert onednn.undecided(os.environ)[onednn.VARIABLE] == value
    assert (_of("learner"), _of("actor")) == (value, value)


@pytest.mark.parametrize(
    ("first", "chosen", "expected"),
    [
        ("launchers", None, True),
        pytest.param("benchmarks", None, True, marks=pytest.mark.slow),
        pytest.param("launchers", "0", False, marks=pytest.mark.slow),
    ],
)
def test_it_counts_before_tensorflow_loads(no_choice, first, chosen, expected):
    own = {onednn.VARIABLE: chosen} if chosen is not None else {}
    shown = subprocess.run(
        [sys.executable, "-c", _SHOW.format(first=first)],
        env={**os.environ, **own},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert shown.stdout.split()[-1] == str(expected)
