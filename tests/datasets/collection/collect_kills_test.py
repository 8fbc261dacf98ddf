"""kill -9 of a collection at any moment; what goes on from there is whole."""

import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

from datasets.collection import collect
from datasets.rlds import schema
from tests.helpers.fake_collections import (
    ALL_PAIRS,
    FILES,
    SETTINGS,
    SUCCESSES,
    check_whole,
    collect_fakes,
)

_PROGRAM = """
import dataclasses, functools, json, os, signal, sys
from datasets.collection import collect
from datasets.rlds import files, schema, writer
from tests.helpers import collection_fakes as fakes
settings = schema.Settings.from_dict(json.loads(sys.argv[2]))
commits = int(sys.argv[3])
commit, write_metadata = files.commit, writer.write_metadata

def count(*arguments):
    global commits
    if commits == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    commits -= 1
    if arguments:
        commit(*arguments)

def finish(*arguments):
    files.commit = count
    write_metadata(*arguments)
    count()

if commits >= 0:
    writer.write_metadata = finish
make = functools.partial(fakes.FakeEnvironment, step_seconds=0.01)
collect.collect(sys.argv[1], settings, make, fakes.FakeExpert, 2, progress=False)
"""


def start(directory, settings, commits=-1):
    """Starts the collection; it kills itself after so many files of its finish."""
    root = pathlib.Path(collect.__file__).parents[2]
    arguments = [str(directory), json.dumps(settings.to_dict()), str(commits)]
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *arguments],
        cwd=root,
        stderr=subprocess.DEVNULL,
    )


def _shards(directory):
    return len(list(directory.glob("helms_stacking*")))


def _kill_after_new_shard(directory, settings, delay, victim):
    """Kills main, or a worker of it; False where it was done before."""
    before = _shards(directory)
    process = start(directory, settings)
    while process.poll() is None and _shards(directory) == before:
        time.sleep(0.005)
    time.sleep(delay)
    workers, killed = [], process.poll() is None
    if killed:
        workers = psutil.Process(process.pid).children(recursive=True)
        collecting = [w for w in workers if "spawn_main" in " ".join(w.cmdline())]
        target = process.pid if victim == 0 else collecting[victim - 1].pid
        os.kill(target, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive, "workers outlive the process that was killed"
    if killed:
        assert process.returncode == (-signal.SIGKILL if victim == 0 else 1)
    return killed


def _kill_and_continue(directory, victims, rng, settings=SETTINGS):
    """Kills main (0) or worker 1 or 2, time and again."""
    settings = dataclasses.replace(settings, episodes=30 + 20 * len(victims))
    killed = 0
    for victim in victims:
        killed += _kill_after_new_shard(
            directory, settings, rng.uniform(0, 0.4), victim
        )
        assert _shards(directory) > 0
    assert killed == len(victims), "the collection was done before it could be killed"
    collect_fakes(directory, settings)
    check_whole(directory, settings)


def test_kill_9_and_continue(tmp_path):
    _kill_and_continue(tmp_path, [0], random.Random(0), SETTINGS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "settings", [SETTINGS, SUCCESSES, ALL_PAIRS], ids=[*schema.KEEP, "all pairs"]
)
def test_kill_9_ten_times_and_continue(tmp_path, settings):
    rng = random.Random(time.time_ns())
    victims = [0] * 5 + [rng.choice((1, 2)) for _ in range(5)]
    rng.shuffle(victims)
    _kill_and_continue(tmp_path, victims, rng, settings)


def _kill_in_finish(directory, settings, commits):
    process = start(directory, settings, commits)
    assert process.wait() == -signal.SIGKILL
    written = {f.name for f in directory.iterdir()}
    # manifest.json is there from the start.
    assert written & set(FILES) == {FILES[0], *FILES[1:commits]}
    assert collect.is_complete(directory, settings) == (commits == len(FILES))
    collect_fakes(directory, settings, fault="raise")  # No episode is collected again.
    check_whole(directory, settings)


@pytest.mark.slow
def test_kill_9_while_the_metadata_are_written(tmp_path):
    _kill_in_finish(tmp_path, SETTINGS, 3)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("commits", range(len(FILES) + 1))
@pytest.mark.parametrize("settings", [SETTINGS, SUCCESSES], ids=schema.KEEP)
def test_kill_9_before_and_after_each_file_of_the_metadata(tmp_path, settings, commits):
    _kill_in_finish(tmp_path, settings, commits)
