"""Runs in one process that are stopped, killed and resumed, on a tiny task."""

import json
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import reverb

from agents.mpo import learner_checkpoints
from launchers.common import loggers
from launchers.experiments import checkpointing, single_process
from launchers.experiments.config import Budget, SetupError
from tests.helpers import fakes

ROOT = pathlib.Path(__file__).resolve().parents[3]
STEPS = 1600

# The learner is a checkpoint at every episode, so that a kill may fall anywhere.
_PROGRAM = """
import sys
from launchers.experiments import single_process
from launchers.experiments.config import Budget
from tests.helpers import fakes
budget = Budget(
    max_actor_steps={steps}, eval_every=400, eval_episodes=2, checkpoint_minutes=1e-4
)
made = fakes.make_experiment(sys.argv[1], budget=budget)
print("begins", flush=True)
single_process.run(made, report=lambda line: None)
"""


def _experiment(workdir, steps, **budget):
    budget = {"eval_every": 10_000, "eval_episodes": 1, **budget}
    made = Budget(max_actor_steps=steps, **budget)
    return fakes.make_experiment(workdir, budget=made)


def _run(experiment):
    return single_process.run(experiment, report=lambda line: None)


def _counts(workdir):
    return json.loads((workdir / "counts.json").read_text())


def _steps_counted(workdir):
    counts = _counts(workdir)
    return {
        key: counts[key] for key in ("actor_steps", "actor_episodes", "learner_steps")
    }


def test_a_resumed_run_counts_as_one_that_ran_through(tmp_path):
    through, parts = tmp_path / "through", tmp_path / "parts"
    _run(_experiment(through, 480))
    for steps in (240, 480):
        _run(_experiment(parts, steps))
    assert _steps_counted(parts) == _steps_counted(through)
    assert learner_checkpoints.steps(str(parts)) == _counts(parts)["learner_steps"] > 40
    # One snapshot is left, and its replay holds all sequences since the first start.
    (record,) = (parts / "checkpoints" / "snapshots").glob("*.json")
    (replay,) = (parts / "checkpoints" / "replay").iterdir()
    assert json.loads(record.read_text())["replay"] == replay.name
    sizes = []
    for workdir in (through, parts):
        tables = (
            _experiment(workdir, 1)
            .builder_factory()
            .make_replay_tables(
                _experiment(workdir, 1).environment_spec, limit_rate=False
            )
        )
        kept = checkpointing.Snapshots(str(workdir))
        settings = checkpointing.settings(tables)
        found = kept.load(learner_checkpoints.steps(str(workdir)), settings)
        server = reverb.Server(tables, checkpointer=kept.checkpointer(found))
        info = reverb.Client(f"localhost:{server.port}").server_info()
        sizes.append(info["sequences"].current_size)
        server.stop()
    assert sizes[0] == sizes[1] == 480 // 4


@pytest.mark.usefixtures("eagerly")
def test_a_run_that_is_stopped_in_its_first_episode_resumes(tmp_path):
    signalled = threading.Event()
    signalled.set()
    experiment = _experiment(tmp_path, 16)
    run = single_process._Run(experiment, lambda line: None, signalled)
    assert run.run() == "signal"
    assert _run(experiment) == "max_actor_steps"
    assert _counts(tmp_path)["actor_steps"] == 16


def test_a_start_clears_unfinished_replay_and_keeps_the_directory(tmp_path):
    written = tmp_path / "checkpoints" / "replay_written"
    (written / "unfinished").mkdir(parents=True)
    checkpointing.Snapshots(str(tmp_path)).checkpointer(None)
    assert written.is_dir() and not list(written.iterdir())


@pytest.mark.usefixtures("eagerly")
def test_what_came_after_the_snapshot_is_dropped(tmp_path):
    _run(_experiment(tmp_path, 160))
    # As a kill after more steps would leave it: later rows, later counts, and a
    # checkpoint of replay that no learner's checkpoint committed.
    logger = loggers.make_logger(str(tmp_path), "actor_0", "actor_steps")
    logger.write({"actor_steps": 168, "episode_return": 99.0, "episode_length": 8})
    (tmp_path / "counts.json").write_text('{"actor_steps": 168}')
    stray = tmp_path / "checkpoints" / "replay" / "2099-01-01T00:00:00.0+00:00"
    stray.mkdir()
    _run(_experiment(tmp_path, 320))
    rows = loggers.read_rows(str(tmp_path), "actor_0")
    assert [row["actor_steps"] for row in rows] == list(range(8, 321, 8))
    assert max(row["episode_return"] for row in rows) < 99
    assert not stray.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_without_replay_the_learner_waits_for_new_data(tmp_path):
    for steps in (160, 480):
        _run(_experiment(tmp_path, steps, checkpoint_replay=False))
    counts = _counts(tmp_path)
    through = tmp_path / "through"
    _run(_experiment(through, 480))
    # Replay has to fill once more before learning goes on.
    assert 0 < counts["learner_steps"] < _counts(through)["learner_steps"]


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_replay_of_other_limits_is_not_read(tmp_path):
    """Reverb would restore the old limits with it, and could wait for ever."""
    _run(_experiment(tmp_path, 320))
    learned = _counts(tmp_path)["learner_steps"]
    other = fakes.make_experiment(
        tmp_path,
        budget=Budget(max_actor_steps=640, eval_episodes=0),
        max_replay_size=50,
    )
    _run(other)
    # As from an empty replay: 34 sequences of the 80 pay for nothing, 46 for 16 / 32.
    assert _counts(tmp_path)["learner_steps"] - learned == 46 // 2


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_other_settings_neither_rest_nor_catch_up(tmp_path):
    _run(_experiment(tmp_path, 320))
    learned = _counts(tmp_path)["learner_steps"]
    twice = fakes.make_experiment(
        tmp_path,
        budget=Budget(max_actor_steps=480, eval_episodes=0),
        samples_per_insert=2 * fakes.SMALL_AGENT["samples_per_insert"],
    )
    single_process.run(twice, report=lambda line: None)
    paid = 160 / 4 * twice.builder_factory().config.samples_per_insert / 32
    assert _counts(tmp_path)["learner_steps"] - learned == pytest.approx(paid, abs=2)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_evaluations_go_on_where_they_were(tmp_path):
    for steps in (96, 320):
        _run(_experiment(tmp_path, steps, eval_every=80))
    rows = loggers.read_rows(str(tmp_path), "evaluator")
    assert [row["actor_steps"] for row in rows] == [0, 80, 160, 240]


@pytest.mark.slow
def test_killed_ten_times(tmp_path):
    """Same counters and a return within noise of a run that ran through."""
    through, killed = tmp_path / "through", tmp_path / "killed"
    program = _PROGRAM.format(steps=STEPS)

    def start(workdir):
        return subprocess.Popen(
            [sys.executable, "-c", program, str(workdir)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    assert start(through).wait() == 0
    random = np.random.default_rng(0)
    for _ in range(10):
        process = start(killed)
        process.stdout.readline()
        time.sleep(random.uniform(2.0, 6.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(killed).wait() == 0
    assert _steps_counted(killed) == _steps_counted(through)
    returns = []
    for workdir in (through, killed):
        rows = loggers.read_rows(str(workdir), "actor_0")
        assert [row["actor_steps"] for row in rows] == list(range(8, STEPS + 1, 8))
        returns.append(np.mean([row["episode_return"] for row in rows[-40:]]))
        evaluations = loggers.read_rows(str(workdir), "evaluator")
        assert [row["actor_steps"] for row in evaluations] == [0, 400, 800, 1200]
    assert returns[0] > 5.3 and returns[1] > 5.3  # of 8; a uniform choice has 2.7


@pytest.fixture(name="earlier", scope="module")
def _earlier(tmp_path_factory):
    """A run of two calls, under a name that TensorFlow takes for a pattern."""
    workdir = tmp_path_factory.mktemp("earlier") / "run[a,b]{c}"
    for steps in (160, 320):
        _run(_experiment(workdir, steps))
    return workdir


def test_a_run_resumes_in_a_directory_of_any_name(earlier):
    assert _counts(earlier)["actor_steps"] == 320
    rows = loggers.read_rows(str(earlier), "actor_0")
    assert [row["actor_steps"] for row in rows] == list(range(8, 321, 8))


@pytest.fixture(name="workdir")
def _workdir(earlier, tmp_path):
    """A copy of the run."""
    return shutil.copytree(earlier, tmp_path / "run")


def _files(directory):
    """Names and contents of all files but locks."""
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in paths}


def _newest(workdir, pattern):
    return sorted((workdir / "checkpoints").glob(pattern))[-1]


@pytest.mark.parametrize(
    ("pattern", "content", "words"),
    [
        ("learner/checkpoint", None, ("missing or damaged", "ckpt-")),
        ("learner/checkpoint", b"", ("missing or damaged",)),
        ("learner/ckpt-*.index", None, (".index", "missing", "beside it")),
        ("learner/ckpt-*.index", b"x", ("cannot be read", "beside it")),
        ("learner/ckpt-*.data*", b"x", ("cannot be read", "beside it")),
        ("snapshots/*.json", b"{}", ("lacks the counts",)),
        ("snapshots/*.json", b"", ("not readable",)),
        ("snapshots/*.json", b'{"steps": 1}', ("not a snapshot",)),
        ("snapshots/*.json", b'{"replay_steps": []}', ("replay_steps is []",)),
        ("snapshots/*.json", b'{"replay": "../x"}', ("replay is '../x'",)),
        ("snapshots/*.json", b'{"counts": {"a": NaN}}', ("count a is nan",)),
    ],
)
def test_what_cannot_be_read_is_said_and_nothing_is_changed(
    pattern, content, words, workdir
):
    path = _newest(workdir, pattern)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    before = _files(workdir)
    with pytest.raises(SetupError) as error:
        _run(_experiment(workdir, 480))
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)
    now = _files(workdir)
    assert {k: now.get(k) for k in before} == before


def test_a_run_whose_checkpoint_is_gone_does_not_begin_anew(workdir):
    shutil.rmtree(workdir / "checkpoints" / "learner")
    before = _files(workdir)
    with pytest.raises(SetupError, match="counted 320 actor steps"):
        _run(_experiment(workdir, 480))
    now = _files(workdir)
    assert {k: now.get(k) for k in before} == before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("DONE", None, "no file DONE"),
        ("items.tfrecord", None, "items.tfrecord is missing"),
        ("items.tfrecord", b"", "items.tfrecord is empty"),
        ("chunks.tfrecord", b"x" * 100, "chunks.tfrecord is damaged"),
    ],
)
def test_replay_that_cannot_be_read_is_left_out_and_said(name, content, words, workdir):
    path = _newest(workdir, "replay/*") / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    experiment = _experiment(workdir, 1)
    lines: list[str] = []
    tables = experiment.builder_factory().make_replay_tables(
        experiment.environment_spec, limit_rate=False
    )
    snapshot = checkpointing.Snapshots(str(workdir)).load(
        learner_checkpoints.steps(str(workdir)),
        checkpointing.settings(tables),
        lines.append,
    )
    assert snapshot is not None and snapshot.replay is None
    assert snapshot.counts["actor_steps"] == 320
    assert len(lines) == 1 and str(path.parent) in lines[0] and words in lines[0]


@pytest.mark.usefixtures("eagerly")
def test_a_run_resumes_without_its_replay_and_with_the_snapshots_counts(workdir):
    (_newest(workdir, "replay/*") / "DONE").unlink()
    (workdir / "counts.json").write_text("")
    learned = learner_checkpoints.steps(str(workdir))
    lines: list[str] = []
    single_process.run(_experiment(workdir, 640), report=lines.append)
    assert any("leaves out the replay" in line for line in lines)
    assert _counts(workdir)["actor_steps"] == 640
    assert _counts(workdir)["learner_steps"] > learned
