"""Several seeds as one experiment: what is run, compared, named and refused.

The runs' processes are shells here, and the runs are written before; the slow test runs
the real command.
"""

import os
import signal
import subprocess
import sys
import threading

import pytest

from agents.mpo.config import ActionMPOConfig
from launchers.common import atomic_files, side_by_side
from launchers.experiments.config import Budget, RunConfig
from launchers.transfer import seeds
from tests.helpers import commands, finished_runs


@pytest.fixture(name="config")
def _config(tmp_path, monkeypatch):
    """Configuration of two runs of two episodes each, which are not complete."""
    monkeypatch.setattr(side_by_side, "_POLL_SECONDS", 0.05)
    for seed in (0, 1):
        finished_runs.write(tmp_path / f"seed_{seed}", [1.0, 3.0], [0, 1], seed=seed)
    return RunConfig(
        skills=None,
        workdir=str(tmp_path),
        agent="mpo",
        agent_config=ActionMPOConfig(),
        budget=Budget(max_actor_steps=800),
    )


def _set_processes(monkeypatch, scripts):
    """Replaces the process of each seed by a shell's; returns who was started."""
    started = {}

    def start(config, arguments, core):
        command = ["sh", "-c", scripts[config.seed]]
        process = side_by_side.start(command, seeds._log(config), core)
        started[config.seed] = process
        return process

    monkeypatch.setattr(seeds, "_start", start)
    return started


def test_the_command_of_a_seed(config, monkeypatch):
    found = {}
    monkeypatch.setattr(side_by_side, "start", lambda *a: found.update({a[1]: a}))
    (first, _) = seeds.split(config, [0, 1])
    seeds._start(first, ["--agent=mpo", "--seeds=0,1"], 3)
    ((log, (command, _, core)),) = found.items()
    assert core == 3 and str(log) == f"{config.workdir}/seed_0.log"
    assert command[-5:-2] == ["--agent=mpo", "--seeds=0,1", "--seeds="]
    assert command[-2:] == ["--seed=0", f"--workdir={config.workdir}/seed_0"]


def test_complete_runs_are_not_repeated_and_all_are_compared(
    config, tmp_path, monkeypatch
):
    summary = {"stopped_by": "max_actor_steps", "actor_steps": 800}
    atomic_files.write_json(tmp_path / "seed_0" / "summary.json", summary)
    started = _set_processes(monkeypatch, {1: "exit 0"})
    lines: list[str] = []
    seeds.run(seeds.split(config, [0, 1]), [], report=lines.append)
    assert list(started) == [1]
    assert any("success 100 %" in line and "2 seeds" in line for line in lines)
    assert (tmp_path / "comparison" / "comparison.html").exists()


def test_a_failure_is_named_and_the_others_go_on(config, tmp_path, monkeypatch):
    _set_processes(monkeypatch, {0: "echo error: full disk; exit 1", 1: "sleep 0.3"})
    lines: list[str] = []
    with pytest.raises(seeds.SeedsError, match="seed 0 failed .*full disk.*seed_0.log"):
        seeds.run(seeds.split(config, [0, 1]), [], jobs=2, report=lines.append)
    assert "seed 1 has ended" in lines
    assert (tmp_path / "comparison" / "comparison.html").exists()


def test_bad_input_of_a_run_stops_all(config, tmp_path, monkeypatch):
    scripts = {0: "sleep 0.2; echo error: no such bundle; exit 2", 1: "exec sleep 300"}
    started = _set_processes(monkeypatch, scripts)
    with pytest.raises(seeds.SeedsError, match="^no such bundle$") as raised:
        seeds.run(seeds.split(config, [0, 1]), [], jobs=2, report=lambda _: None)
    assert raised.value.exit_code == 2
    assert started[1].returncode == -signal.SIGTERM
    assert not (tmp_path / "comparison").exists()


def test_a_signal_reaches_all(config, monkeypatch):
    started = _set_processes(monkeypatch, {0: "exec sleep 300", 1: "exec sleep 300"})
    # Launchpad has a handler of its own where an earlier test ran a program.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            seeds.run(seeds.split(config, [0, 1]), [], jobs=2, report=lambda _: None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert {process.returncode for process in started.values()} == {-signal.SIGTERM}


def test_bad_input_gets_one_line_and_exit_2(config, tmp_path):
    for arguments, words in (
        (["--seeds=0,a"], "seeds must be different integers"),
        (["--seeds=1,1"], "got 1,1"),
        (["--seeds=0,1", "--seed=1"], "--seeds or --seed"),
        (["--seeds=0,1", "--launch=local_mp"], "is for --launch=single_process"),
        (["--seeds=0", "--loggers=wand"], "unknown logger 'wand'"),
        (["--seeds=0", "--n_step=3"], "seed_0 holds another run, with n_step 1"),
        (["--seeds=0", f"--workdir={tmp_path}/seed_0"], "holds a run of its own"),
    ):
        flags = ["--agent=mpo", f"--workdir={tmp_path}", *arguments]
        done = commands.run("launchers.train_agent", *flags)
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith("error: ") and words in line
    assert sorted(p.name for p in tmp_path.iterdir()) == ["seed_0", "seed_1"]


@pytest.mark.doors
@pytest.mark.slow
@pytest.mark.timeout(900)  # two starts of two processes, on one core in the worst case
def test_the_command_runs_and_is_stopped_and_resumes(tmp_path):
    flags = ["--agent=mpo", f"--workdir={tmp_path}", "--seeds=0,1", "--jobs=2"]
    flags += ["--batch_size=8", "--min_replay_size=20", "--critic_rnn_size=0"]
    flags += ["--samples_per_insert=1", "--max_actor_steps=1200", "--eval_episodes=0"]
    command = [sys.executable, "-m", "launchers.train_agent", *flags, "--log_seconds=1"]
    process = subprocess.Popen(
        command, cwd=commands.ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "actor steps 400" in line:
            process.send_signal(signal.SIGTERM)
            break
    process.communicate()
    assert process.returncode == 130
    for seed in (0, 1):  # each has saved, or had not begun
        assert "Traceback" not in (tmp_path / f"seed_{seed}.log").read_text()
    assert any(tmp_path.glob("seed_*/checkpoints/*"))
    done = subprocess.run(command, cwd=commands.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 seeds" in done.stdout
    numbers = atomic_files.read_json(tmp_path / "comparison" / "comparison.json")
    assert numbers["groups"]["mpo"]["actor_steps"] == [1200, 1200]
