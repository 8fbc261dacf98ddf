"""The real mains of RL with tiny flags, and what they refuse."""

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from agents.helms_mix.config import HelmsMixConfig
from environments import EnvironmentConfig
from launchers.common import loggers, private_network
from launchers.experiments import config as experiment_config
from launchers.experiments import evaluation as experiments_evaluation
from launchers.experiments import record
from launchers.experiments.config import Budget
from launchers.transfer import training
from tests.helpers import commands, fakes, untrained_skills

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = (
    "--batch_size=8",
    "--min_replay_size=20",
    "--critic_rnn_size=8",
    "--samples_per_insert=1",
    "--log_seconds=1",
    "--noeval_video",  # which takes a while in software
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return untrained_skills.save_skills(tmp_path_factory.mktemp("bundle") / "skills")


def _run(module, *args):
    return commands.run(f"launchers.{module}", *args)


def _one_line(done, *words):
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert lines[-1].startswith("error: ") and "Traceback" not in done.stderr
    for word in words:
        assert word in lines[-1]


def test_trains_evaluates_and_resumes(bundle, tmp_path):
    workdir = tmp_path / "run"
    flags = (f"--skills={bundle}", f"--workdir={workdir}", *TINY)
    done = _run("train_agent", *flags, "--max_actor_steps=400", "--eval_episodes=1")
    assert done.returncode == 0, done.stderr
    assert "learner steps" in done.stdout
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["actor_steps"] == 400 and summary["learner_steps"] > 0
    assert summary["zero_shot_return"] is not None and summary["return"] is not None
    assert not summary["resumed"]
    try:
        private_network.make().close()
    except private_network.Unavailable as e:
        assert str(e) in done.stdout
    else:  # replay listens in a network of the run's own
        assert "no network of its own" not in done.stdout

    done = _run("evaluate", f"--workdir={workdir}", "--episodes=1")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert result["episodes"] == 1
    assert result["learner_steps"] == summary["learner_steps"]

    done = _run("train_agent", *flags, "--max_actor_steps=800", "--eval_episodes=0")
    assert done.returncode == 0, done.stderr
    again = json.loads((workdir / "summary.json").read_text())
    assert again["resumed"] and again["actor_steps"] == 800
    # The result of the first start is kept, with the step that it is of.
    assert again["return"] == summary["return"] is not None
    assert again["evaluated_actor_steps"] == 400
    second = json.loads((workdir / "config.json").read_text())["starts"][1]
    assert second["changed"]["max_actor_steps"] == [400, 800]
    assert second["actor_steps"] == 400
    assert again["learner_steps"] > summary["learner_steps"]


@pytest.mark.slow
def test_an_exported_run_is_evaluated_as_its_run_and_never_goes_on(bundle, tmp_path):
    workdir = tmp_path / "run"
    flags = (f"--skills={bundle}", f"--workdir={workdir}", *TINY)
    done = _run("train_agent", *flags, "--max_actor_steps=400", "--eval_episodes=0")
    assert done.returncode == 0, done.stderr
    config = record.load_config(str(workdir))
    result = experiments_evaluation.evaluate(config, episodes=1)
    record.export(config, tmp_path / "exported", copy_skills=True)
    moved = (tmp_path / "exported").rename(tmp_path / "moved")
    assert config.skills is not None
    shutil.copytree(config.skills, tmp_path / "beside")
    config = record.load_config(str(workdir), str(tmp_path / "beside"))
    linked = tmp_path / "linked"
    record.export(config, linked, copy_skills=False)
    for path in moved, linked:
        exported = record.load_config(str(path))
        assert exported.skills is not None
        assert pathlib.Path(exported.skills).parent in (moved, tmp_path)
        again = experiments_evaluation.evaluate(exported, episodes=1)
        assert all(
            again[key] == result[key] for key in ("return_mean", "learner_steps")
        )
    with pytest.raises(ValueError, match="exported: it has a policy alone"):
        record.check(exported)
    with pytest.raises(ValueError, match="exists"):
        record.export(config, linked, copy_skills=False)


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["helms_mix", "mpo"])
def test_other_agents_train_and_are_evaluated(agent, bundle, tmp_path):
    workdir = tmp_path / "run"
    flags = (f"--skills={bundle}", f"--workdir={workdir}", *TINY)
    done = _run(
        "train_agent",
        f"--agent={agent}",
        *flags,
        "--max_actor_steps=400",
        "--eval_episodes=0",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((workdir / "summary.json").read_text())["learner_steps"] > 0
    done = _run("evaluate", f"--workdir={workdir}", "--episodes=1")
    assert done.returncode == 0, done.stderr


@pytest.mark.gl
@pytest.mark.slow
@pytest.mark.parametrize("agent", ["helms_mix", "asymmetric_mpo"])
def test_agents_for_vision_train(agent, bundle, tmp_path):
    workdir = tmp_path / "run"
    done = _run(
        "train_agent",
        f"--agent={agent}",
        f"--skills={bundle}",
        f"--workdir={workdir}",
        "--observations=vision",
        *TINY,
        "--samples_per_insert=0.5",
        "--batch_size=2",
        "--max_actor_steps=400",
        "--eval_episodes=0",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((workdir / "summary.json").read_text())["learner_steps"] > 0


_REFUSALS = [
    (("--agent=sac",), ("'sac'", "helms_cat")),
    (("--agent=npmp",), ("of model 'helms', not 'npmp'",)),
    (("--agent=mpo", "--eta_y=1"), ("agent mpo has no eta_y", "num_samples")),
    (("--agent=bc", "--observations=vision"), ("on state", "asymmetric_mpo")),
    (("--observations=sound",), ("sound", "vision")),
    (
        ("--agent=mpo", "--observations=vision", "--cameras=top"),
        ("top", "basket_front_left"),
    ),
    (("--agent=asymmetric_mpo", "--observations=state"), ("needs images",)),
    (("--launch=cloud",), ("cloud", "local_mp")),
    (("--launch=ray", "--ray_address=127.0.0.1:1"), ("no Ray cluster", ":1")),
    (("--launch=ray", "--ray_address=here"), ("auto or HOST:PORT", "here")),
    (("--ray_address=auto",), ("--launch=ray",)),
    (("--launch=vertex_ai",), ("xmanager", "docs/guides/cluster.md")),
    (("--task=juggle",), ("juggle", "stack_red_blue")),
    (("--reward=huge",), ("huge", "staged_sparse")),
    (("--object_set=9",), ("9", "5")),
    (("--object_set=some",), ("some", "random")),
    (("--skills=/nowhere",), ("/nowhere",)),
    (("--high_level=distilled",), ("no distilled high level", "benchmarks.ceil")),
    (("--agent=mpo", "--high_level=new"), ("agent mpo has no high_level",)),
    (("--sequence_period=10",), ("sequence_period",)),
    (("--skill_steps=0",), ("skill_steps", "1 to 399")),
    (("--skill_steps=400",), ("skill_steps", "1 to 399")),
    (("--agent=mpo", "--skill_steps=2"), ("agent mpo has no skill_steps",)),
    (("--skill_prior=sticky",), ("'sticky'", "uniform, transition, distilled")),
    (("--max_actor_steps=0",), ("never ends",)),
    (("--run_seconds=nan",), ("run_seconds must be positive and finite",)),
    (("--eta_y=nan",), ("eta_y must be finite",)),
    (("--num_actors=3",), ("single_process", "local_mp")),
    (("--launch=ray", "--noprivate_network"), ("private_network", "on this machine")),
    (("--config=/nowhere.json",), ("/nowhere.json", "config.json of a run")),
    (("--scale=phone",), ("phone", "paper", "laptop")),
    (("--finger=bernoulli",), ("agent helms_cat has no finger", "eta_y")),
    (("--agent=npmp", "--finger=gaussian"), ("agent npmp has no finger", "eta_z")),
    (("--agent=mpo", "--finger=thumb"), ("'thumb'", "gaussian, bernoulli")),
]


@pytest.mark.parametrize(("flags", "words"), _REFUSALS, ids=lambda x: " ".join(x))
def test_refuses(flags, words, bundle, tmp_path):
    shared = (f"--skills={bundle}", f"--workdir={tmp_path / 'run'}")
    _one_line(commands.run("launchers.train_agent", *shared, *flags), *words)


def _write_settings(flags, path):
    """Writes the configuration that flags of train_agent give."""
    # Not at the top: it defines flags, which other tests' commands define, too.
    from absl import flags as absl_flags

    from launchers import train_agent

    absl_flags.FLAGS(["train_agent", *flags])
    config = dataclasses.asdict(train_agent._config())
    pathlib.Path(path).write_text(json.dumps(config))


def _settings_of(path, *flags):
    process = commands.CONTEXT.Process(target=_write_settings, args=(flags, path))
    process.start()
    process.join()
    assert process.exitcode == 0
    return json.loads(path.read_text())


def test_flags_win_over_the_scale(tmp_path):
    flags = ("--agent=mpo", "--scale=laptop", "--n_step=3", f"--workdir={tmp_path}")
    config = _settings_of(tmp_path / "settings.json", *flags)["agent_config"]
    names = ("n_step", "batch_size", "init_log_alpha_mean")
    assert [config[name] for name in names] == [3, 64, 3.0]


def test_a_runs_own_record_gives_the_settings_that_no_flag_gives(bundle, tmp_path):
    config = _config(
        bundle,
        tmp_path / "run",
        agent="helms_mix",
        environment=EnvironmentConfig.paper(
            object_set="random", reward="dense", domain_randomization=False
        ),
        agent_config=HelmsMixConfig(eta_z=0.3, critic_hidden_sizes=(8, 9)),
        budget=Budget(max_actor_steps=None, run_seconds=5.0),
        seed=4,
    )
    record.check(config)
    expected = json.loads(json.dumps(dataclasses.asdict(config)))
    expected["skills"] = str(tmp_path / "run" / "skills")  # the copy
    given = f"--config={tmp_path / 'run' / 'config.json'}"
    workdir = f"--workdir={tmp_path / 'run'}"
    settings = tmp_path / "settings.json"
    same = _settings_of(settings, given, workdir)
    other = _settings_of(settings, given, workdir, "--seed=5", "--eta_z=0.2")
    assert same == expected
    assert (other["seed"], other["agent_config"]["eta_z"]) == (5, 0.2)
    assert other["environment"] == expected["environment"]


def test_evaluate_refuses_what_is_no_run(tmp_path):
    _one_line(_run("evaluate", f"--workdir={tmp_path}"), "no run in", "config.json")


def _config(bundle, workdir, **changes):
    return experiment_config.RunConfig(skills=bundle, workdir=str(workdir), **changes)


def test_seeds_differ_by_role_and_number():
    seeds = {
        experiment_config.derive_seed(0, "actor", 0),
        experiment_config.derive_seed(0, "actor", 1),
        experiment_config.derive_seed(0, "environment", 0),
        experiment_config.derive_seed(1, "actor", 0),
    }
    assert len(seeds) == 4
    assert experiment_config.derive_seed(
        0, "actor", 1
    ) == experiment_config.derive_seed(0, "actor", 1)


@pytest.mark.slow
def test_one_process_learns(tmp_path):
    budget = Budget(max_actor_steps=2000, eval_every=1000, eval_episodes=20)
    made = fakes.make_experiment(tmp_path, seed=2, budget=budget)
    summary = training.run(made, "single_process", report=lambda line: None)
    assert summary["stopped_by"] == "max_actor_steps"
    assert summary["zero_shot_return"] < 4.0
    assert summary["return"] > 6.0 and summary["success"] > 0.5
    # The ratio: an insert every 4 steps, 16 samples an insert, batches of 32.
    assert summary["learner_steps"] == pytest.approx((2000 / 4 - 34) / 2, abs=2)
    returns = [row["episode_return"] for row in loggers.actor_rows(str(tmp_path))]
    assert np.mean(returns[-20:]) > np.mean(returns[:20]) + 2


def test_run_seconds(tmp_path):
    budget = Budget(max_actor_steps=None, run_seconds=1.0, eval_episodes=0)
    made = fakes.make_experiment(tmp_path, budget=budget)
    summary = training.run(made, "single_process", report=lambda line: None)
    assert summary["stopped_by"] == "run_seconds" and summary["return"] is None


@pytest.mark.slow
def test_interrupt_saves_a_checkpoint(bundle, tmp_path):
    workdir = tmp_path / "run"
    command = [sys.executable, "-m", "launchers.train_agent", f"--skills={bundle}"]
    process = subprocess.Popen(
        [*command, f"--workdir={workdir}", *TINY, "--eval_episodes=0"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    try:
        deadline = time.monotonic() + 200
        while not loggers.actor_rows(str(workdir)) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "the same command resumes" in errors and "Traceback" not in errors
    assert list((workdir / "checkpoints" / "learner").glob("ckpt-*.index"))
    assert json.loads((workdir / "counts.json").read_text())["actor_steps"] >= 400
