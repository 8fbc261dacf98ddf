"""Zero-shot returns in an environment from elsewhere, and what does not fit it."""

import dataclasses
import json
import math
import pathlib
import re

import numpy as np
import pytest

from agents import registry
from agents.helms import networks
from agents.helms.config import HelmsConfig
from agents.offline.networks import Dims, unit_statistics
from datasets import experts
from environments import EnvironmentConfig, observations
from launchers.analysis import exploration, pipeline, zero_shot_returns
from launchers.analysis.config import AnalysisConfig
from launchers.analysis.exploration import Agent, Job, Setting
from tests.helpers import commands, dataset_files

PLUGIN = pathlib.Path(__file__).resolve().parents[3] / "examples" / "plugin"
REACH = "reach_plugin.environment:make"
BOUNDS = ((-0.2, -0.2), (0.2, 0.2))
SETTING = Setting(
    EnvironmentConfig(
        environment=REACH,
        proprio=("position",),
        objects=("target",),
        action_bounds=BOUNDS,
    ),
    seed=0,
)


@pytest.fixture(autouse=True)
def _plugin(monkeypatch):
    """Makes the package importable, and forgets afterwards what it registers."""
    monkeypatch.syspath_prepend(PLUGIN)
    monkeypatch.setattr(registry, "AGENTS", dict(registry.AGENTS))
    monkeypatch.setattr(experts, "MAKERS", dict(experts.MAKERS))


def _save(directory, dims, names, action=None):
    config = HelmsConfig(num_skills=2, latent_dim=2, look_ahead=1, hidden_sizes=(8,))
    model = networks.HelmsNetworks(config, dims, unit_statistics(dims))
    registry.save_bundle(directory, model, names, action=action)
    return str(directory)


@pytest.fixture(name="bundle", scope="module")
def _bundle(tmp_path_factory):
    low, high = map(list, BOUNDS)
    return _save(
        tmp_path_factory.mktemp("bundle") / "skills",
        Dims(proprio=2, objects=2, action=2),
        {"proprio": ["position"], "objects": ["target"]},
        {"names": ["action"], "low": low, "high": high},
    )


def test_an_episode_is_a_function_of_setting_agent_and_number(bundle):
    job = Job(SETTING, Agent("helms", bundle, 5), episode=0)
    row = zero_shot_returns.run(job)
    assert row["agent"] == "helms_held_5" and row["steps"] == 20
    assert 0.0 <= float(row["return"]) <= 20.0 and row["success"] in (0.0, 1.0)
    other = zero_shot_returns.run(dataclasses.replace(job, episode=1))
    assert other["seed"] != row["seed"]
    assert zero_shot_returns.run(job) == row


def test_an_environment_that_tells_no_success(bundle, monkeypatch):
    environment = zero_shot_returns._environment(SETTING.environment)
    monkeypatch.setattr(type(environment.environment), "success", lambda _: None)
    row = zero_shot_returns.run(Job(SETTING, Agent("mpo", bundle), episode=0))
    assert math.isnan(float(row["success"]))


def test_the_table_has_returns_and_the_successes_that_are_told(tmp_path):
    agents = [Agent("helms", "skills", 5), Agent("skill_1", "skills"), Agent("mpo", "")]
    jobs = []

    def run_jobs(missing):
        for job in missing:
            jobs.append(job)
            told = float(job.episode > 0) if job.agent.model == "helms" else np.nan
            yield {
                "agent": job.agent.name,
                "episode": job.episode,
                "seed": 7,
                "steps": 20,
                "return": 10.0 * job.agent.skill_steps + job.episode,
                "success": told,
            }

    def measure(episodes):
        return zero_shot_returns.measure(
            tmp_path, SETTING, agents, {"helms_held_5": "a"}, episodes, run_jobs
        )

    measure(2)
    result = measure(4)
    assert len(jobs) == 12  # those of before are kept
    rows = json.loads(json.dumps(result.numbers, allow_nan=False))["agents"]
    value, low, high = rows["helms_held_5"]["return"]
    assert low < value == 51.5 < high
    assert rows["helms_held_5"]["success"][0] == 0.75
    assert rows["skill_1"] == {"return": rows["mpo"]["return"], "success": None}
    lines = "\n".join(result.lines)
    assert re.search(
        r"fresh high level, skills held 5 steps +51.5 \[50.*75 \[30, 95", lines
    )
    assert re.search(r"HeLMS, skill 1 alone +11.5 .* –", lines)
    with pytest.raises(ValueError, match="of another bundle of helms_held_5"):
        exploration.check(
            tmp_path, SETTING, {"helms_held_5": "b"}, zero_shot_returns.TABLE
        )


def _analysis(tmp_path, environment, **changes):
    config = AnalysisConfig(
        out=str(tmp_path / "out"),
        environment=EnvironmentConfig(environment=environment),
        **changes,
    )
    return pipeline.Analysis(config)


def test_what_does_not_fit_the_environment_is_refused(bundle, tmp_path):
    data = dataset_files.write(tmp_path / "data", dataset_files.examples(4))
    for environment, changes, message in (
        ("dm_control:reacher/easy", {}, "there is no 'target'"),
        (REACH, {}, "give the data set by --dataset"),
        (REACH, {"ceiling_episodes": 1}, "the ceiling acts in the Sawyer cell"),
    ):
        dataset = data if changes else None
        with pytest.raises(ValueError, match=message) as error:
            _analysis(tmp_path, environment, skills=bundle, dataset=dataset, **changes)
        assert "\n" not in str(error.value)

    sizes = observations.GROUP_SIZES
    dims = Dims(proprio=sizes["proprio"], objects=sizes["objects"], action=5)
    of_the_cell = _save(tmp_path / "cell", dims, observations.GROUPS)
    with pytest.raises(ValueError, match="there is no "):
        _analysis(tmp_path, REACH, skills=of_the_cell, dataset=data)


def test_a_setting_of_the_cell_is_refused_beside_the_environment(bundle):
    done = commands.run(
        "launchers.analyse_skills",
        f"--skills={bundle}",
        "--out=x",
        f"--environment={REACH}",
        "--task=pyramid",
        path=str(PLUGIN),
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: --task is a setting of the Sawyer cell")
