"""Records of runs: what identifies a run, what may change, and how it is kept."""

import dataclasses
import json
import os
import shutil
from typing import Any

import pytest

from agents import registry
from agents.helms_cat.config import HelmsCatConfig
from agents.mpo.config import ActionMPOConfig
from environments import EnvironmentConfig
from launchers.experiments import config as experiment_config
from launchers.experiments import record
from launchers.experiments.config import Budget
from tests.helpers import offline_models, untrained_skills


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return untrained_skills.save_skills(tmp_path_factory.mktemp("bundle") / "skills")


def _config(bundle, workdir, **changes):
    return experiment_config.RunConfig(skills=bundle, workdir=str(workdir), **changes)


def _starts(workdir):
    return json.loads((workdir / "config.json").read_text())["starts"]


def test_refuses_what_identifies_another_run(bundle, tmp_path):
    workdir = tmp_path / "run"
    assert not record.check(_config(bundle, workdir)).resumes
    assert record.check(_config(bundle, workdir)).resumes
    other = untrained_skills.save_skills(tmp_path / "other", num_skills=4)
    with pytest.raises(ValueError, match="skills of checksum"):
        record.check(_config(other, workdir))
    with pytest.raises(ValueError, match="reward 'staged_sparse' and not 'dense'"):
        dense = EnvironmentConfig.paper(reward="dense")
        record.check(_config(bundle, workdir, environment=dense))
    for changes in (
        {"domain_randomization": False},
        {"max_action_delay": 1},
        {"preset": "reference"},
    ):
        with pytest.raises(ValueError, match=next(iter(changes))):
            environment = EnvironmentConfig.paper(**changes)
            record.check(_config(bundle, workdir, environment=environment))
    with pytest.raises(ValueError, match="seed 0 and not 1"):
        record.check(_config(bundle, workdir, seed=1))
    for name, value in (
        ("critic_rnn_size", 0),
        ("learning_rate", 1e-3),
        ("batch_size", 64),
        ("skill_steps", 10),
        ("skill_prior", "transition"),
        ("high_level", "distilled"),
    ):
        with pytest.raises(ValueError, match=f"{name} .* and not {value!r}"):
            given: dict[str, Any] = {name: value}
            settings = HelmsCatConfig(**given)
            record.check(_config(bundle, workdir, agent_config=settings))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        record.check(_config(bundle, tmp_path / "full"))


def test_a_record_from_before_an_option_has_its_default(bundle, tmp_path):
    config = _config(bundle, tmp_path / "run")
    record.check(config)
    path = tmp_path / "run" / "config.json"
    old = json.loads(path.read_text())
    for name in ("skill_steps", "skill_prior", "high_level"):
        del old["agent_config"][name]
    path.write_text(json.dumps(old))
    assert record.load_config(config.workdir).agent_config == config.agent_config
    assert record.check(config).resumes


def test_a_finger_is_kept_and_that_of_a_clone_is_its_bundles(tmp_path):
    def run(agent, **settings):
        config = _config(None, tmp_path / agent, agent=agent)
        values = dataclasses.replace(config.agent_config, **settings)
        return dataclasses.replace(config, agent_config=values)

    record.check(run("mpo", finger="bernoulli"))
    kept = record.load_config(str(tmp_path / "mpo")).agent_config
    assert isinstance(kept, ActionMPOConfig) and kept.finger == "bernoulli"
    with pytest.raises(ValueError, match="finger 'bernoulli' and not 'gaussian'"):
        record.check(run("mpo"))
    registry.save_bundle(
        tmp_path / "bundle",
        offline_models.make_model("bc").networks,
        {"proprio": ["a"], "objects": ["b"]},
    )

    def clone(finger):
        config = _config(tmp_path / "bundle", tmp_path / "bc", agent="bc")
        values = dataclasses.replace(config.agent_config, finger=finger)
        return dataclasses.replace(config, agent_config=values)

    assert not record.check(clone(None)).resumes
    assert record.check(clone("gaussian")).resumes
    assert record.check(clone(None)).resumes


def test_config_comes_back(bundle, tmp_path):
    config = _config(
        bundle,
        tmp_path / "run",
        environment=EnvironmentConfig.paper(object_set=2, max_action_delay=1),
        seed=7,
        agent_config=HelmsCatConfig(batch_size=3, evaluation="greedy"),
    )
    record.check(config)
    found = record.load_config(config.workdir)
    assert found.agent_config == config.agent_config
    assert (found.environment, found.seed) == (config.environment, 7)
    other = untrained_skills.save_skills(tmp_path / "other", num_skills=4)
    with pytest.raises(ValueError, match="not those that"):
        record.load_config(config.workdir, skills=other)


def test_another_budget_is_kept_with_the_counts_at_which_it_changed(bundle, tmp_path):
    workdir = tmp_path / "run"
    record.check(_config(bundle, workdir, budget=Budget(max_actor_steps=100)))
    before = (workdir / "config.json").read_bytes()
    longer = _config(bundle, workdir, budget=Budget(max_actor_steps=200))
    start = record.check(longer)
    # Until the learner has been restored, a start that may still fail writes nothing.
    assert (workdir / "config.json").read_bytes() == before
    start.commit({"actor_steps": 100, "learner_steps": 7})
    record.check(longer).commit({"actor_steps": 120})
    first, second, third = _starts(workdir)
    assert "changed" not in first
    assert second["changed"] == {"max_actor_steps": [100, 200]}
    assert (second["actor_steps"], second["learner_steps"]) == (100, 7)
    assert third["changed"] == {} and third["actor_steps"] == 120
    for entry in first, second, third:
        assert entry["code_version"] and entry["versions"]["mujoco"]
        assert entry["command"] and entry["host"] and entry["time"]
    found = json.loads((workdir / "config.json").read_text())
    assert found["budget"]["max_actor_steps"] == 200


def test_a_work_directory_holds_its_bundle(tmp_path):
    original = untrained_skills.save_skills(tmp_path / "skills")
    workdir = tmp_path / "run"
    record.check(_config(original, workdir))
    shutil.rmtree(original)
    moved = workdir.rename(tmp_path / "elsewhere")
    found = record.load_config(str(moved))
    assert found.skills == str(moved / "skills")
    assert record.check(found).resumes
    assert record.recorded_settings(moved / "config.json")["skills"] == found.skills


def test_a_restart_moves_the_run_aside_and_begins_anew(bundle, tmp_path, capsys):
    workdir = tmp_path / "run"
    record.check(_config(bundle, workdir), restart=True)  # there is nothing to move
    (workdir / "counts").write_text("7")
    inside = str(workdir / "skills")
    for number in (1, 2):
        assert not record.check(_config(inside, workdir, seed=number), True).resumes
        assert capsys.readouterr().out.count(f"run.before_{number}\n") == 1
        assert len(_starts(workdir)) == 1 and not (workdir / "counts").exists()
    assert (tmp_path / "run.before_1" / "counts").read_text() == "7"
    assert record.load_config(str(tmp_path / "run.before_1")).seed == 0
    assert record.load_config(str(workdir)).seed == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("no run")
    with pytest.raises(ValueError, match="is not empty and has no config.json"):
        record.check(_config(bundle, tmp_path / "mine"), restart=True)
    assert (tmp_path / "mine" / "letter").exists()


def test_a_record_of_before_a_setting_of_the_environment_was_there_fits(tmp_path):
    original = untrained_skills.save_skills(tmp_path / "skills")
    workdir = tmp_path / "run"
    record.check(_config(original, workdir))
    path = workdir / "config.json"
    old = json.loads(path.read_text())
    del old["environment"]["object_order"]
    path.write_text(json.dumps(old))
    assert record.holds(_config(original, workdir))


def test_a_bundle_that_has_moved_is_asked_for(tmp_path):
    original = untrained_skills.save_skills(tmp_path / "skills")
    workdir = tmp_path / "run"
    record.check(_config(original, workdir))
    path = workdir / "config.json"
    old = json.loads(path.read_text())  # of before work directories held bundles
    old["skills"]["path"] = str(tmp_path / "gone")
    path.write_text(json.dumps(old))
    with pytest.raises(ValueError, match="gone: give .* by --skills"):
        record.load_config(str(workdir))
    assert record.load_config(str(workdir), original).skills == original


def test_a_start_that_was_killed_while_it_copied_the_bundle_begins_again(tmp_path):
    original = untrained_skills.save_skills(tmp_path / "skills")
    workdir = tmp_path / "run"
    record.check(_config(original, workdir))
    (workdir / "config.json").unlink()
    assert not record.check(_config(original, workdir)).resumes


def test_a_resumed_run_removes_what_a_kill_has_left(bundle, tmp_path):
    config = _config(bundle, tmp_path / "run")
    left = tmp_path / "run" / ".tmp.4194304.config.json"
    left.parent.mkdir()
    left.write_text("{")  # of a kill at the first file: the directory counts as empty
    assert not record.check(config).resumes and left.exists()
    (tmp_path / "run" / "logs").mkdir()
    below = tmp_path / "run" / "logs" / ".tmp.4194304.logs.csv"
    below.write_text("a")
    assert record.check(config).resumes
    assert not left.exists() and not below.exists()


@pytest.mark.timeout(20)
def test_a_log_that_cannot_be_opened_is_refused(bundle, tmp_path):
    config = _config(bundle, tmp_path / "run")
    record.check(config)
    logs = tmp_path / "run" / "logs" / "actor_0"
    logs.mkdir(parents=True)
    os.mkfifo(logs / "logs.csv")
    with pytest.raises(OSError, match="not a regular file: .*actor_0/logs.csv"):
        record.check(config)
    (logs / "logs.csv").unlink()
    (logs / "logs.csv").mkdir()
    with pytest.raises(OSError, match="not a regular file: .*actor_0/logs.csv"):
        record.check(config)


@pytest.mark.timeout(20)
def test_a_record_that_is_a_pipe_is_refused(bundle, tmp_path):
    config = _config(bundle, tmp_path / "run")
    (tmp_path / "run").mkdir()
    os.mkfifo(tmp_path / "run" / "config.json")
    with pytest.raises(ValueError, match="not a regular file"):
        record.check(config)
    with pytest.raises(ValueError, match="no run in"):
        record.load_config(config.workdir)
