"""The real command on a small bundle and data set, and what it refuses."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from agents import registry
from agents.helms import networks
from agents.helms.config import HelmsConfig
from agents.offline.networks import Dims, unit_statistics
from environments import EnvironmentConfig, observations
from launchers.analysis import exploration, pipeline
from launchers.analysis.config import AnalysisConfig
from launchers.common import workers
from tests.helpers import commands, dataset_files

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _save_skills(directory, seed=0, proprio=observations.GROUP_SIZES["proprio"]):
    config = HelmsConfig(
        num_skills=2, latent_dim=2, look_ahead=1, hidden_sizes=(8,), seed=seed
    )
    sizes = observations.GROUP_SIZES
    dims = Dims(proprio=proprio, objects=sizes["objects"], action=5)
    model = networks.HelmsNetworks(config, dims, unit_statistics(dims))
    names = observations.GROUPS
    registry.save_bundle(directory, model, names, training={"skill_use": [0.25, 0.75]})
    return str(directory)


@pytest.fixture(name="bundle", scope="module")
def _bundle(tmp_path_factory):
    return _save_skills(tmp_path_factory.mktemp("bundle") / "skills")


def _start(*arguments):
    # No OpenGL: pictures are left out, and the test is quick.
    return subprocess.Popen(
        [sys.executable, "-m", "launchers.analyse_skills", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "MUJOCO_GL": "disable"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(*arguments):
    process = _start(*arguments)
    stdout, stderr = process.communicate(timeout=280)
    return process.returncode, stdout, stderr


@pytest.mark.slow
def test_a_report_of_everything_but_table_1(bundle, tmp_path):
    data = dataset_files.write(tmp_path / "data", dataset_files.examples(20))
    out = tmp_path / "new" / "out"
    code, stdout, stderr = _run(
        f"--skills={bundle}",
        f"--out={out}",
        f"--dataset={data}",
        "--episodes=2",
        "--steps=4",
        "--table1_episodes=0",
        "--processes=1",
    )
    assert code == 0, stderr
    assert stdout.count("no pictures: MUJOCO_GL=disable") == 1
    assert "skill 0: " in stdout and f"the report is {out / 'report.html'}" in stdout
    assert {path.name for path in out.iterdir()} == {
        "contingency.png",
        "latents.png",
        "report.html",
        "skill_distances.png",
        "skill_rollouts.json",
        "skills.png",
        "summary.json",
        "timelines.png",
    }
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary) == {"rollouts", "skills", "sequences", "latents"}
    assert len(summary["rollouts"]["skills"]) == 2
    assert 0.0 <= summary["sequences"]["nmi"] <= 1.0
    counts = np.array(summary["sequences"]["contingency"])
    assert counts.sum() == 2 * dataset_files.STEPS  # of two held-out episodes
    np.testing.assert_allclose(sum(summary["skills"]["skill_use"]), 1.0, rtol=1e-5)
    rollouts = json.loads((out / "skill_rollouts.json").read_text())
    assert [r["skill"] for r in rollouts] == [0, 0, 1, 1]
    assert rollouts[0]["seed"] == rollouts[2]["seed"] != rollouts[1]["seed"]
    assert rollouts[0]["height_start"] == rollouts[2]["height_start"]
    report = (out / "report.html").read_text()
    assert summary["sequences"]["phases"] == ["early", "late"]
    for part in ("What each skill does", "Skills along episodes", "checksum"):
        assert part in report
    assert "://" not in report


@pytest.mark.slow
def test_table_1_goes_on_after_a_kill(bundle, tmp_path):
    def arguments(out, episodes):
        return (
            f"--skills={bundle}",
            f"--out={out}",
            "--episodes=1",
            "--steps=1",
            f"--table1_episodes={episodes}",
            "--skill_steps=1",
            "--processes=1",
        )

    out = tmp_path / "killed"
    process = _start(*arguments(out, 2))
    path = out / exploration.EPISODES_FILE
    while not (path.exists() and len(path.read_text().splitlines()) >= 2):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stderr.close()
    done = path.read_text()
    code, _, stderr = _run(*arguments(out, 2))
    assert code == 0, stderr
    assert path.read_text().startswith(done)
    whole = tmp_path / "whole"
    code, stdout, stderr = _run(*arguments(whole, 2))
    assert code == 0, stderr
    assert "MPO, fresh" in stdout
    for name in ("table1.json", "table1.csv", "table1.md"):
        assert (out / name).read_text() == (whole / name).read_text()
    with open(whole / exploration.EPISODES_FILE) as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["agent"], row["episode"]) for row in rows) == [
        (agent, episode)
        for agent in ("helms", "helms_prior", "mpo")
        for episode in ("0", "1")
    ]
    assert len({row["seed"] for row in rows}) == 2
    assert all(row["steps"] == "400" for row in rows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"episodes": 0}, "episodes is 0; valid: whole numbers from 1"),
        ({"steps": 401}, "steps is 401; valid: 1 to 400"),
        ({"table1_episodes": -1}, "table1_episodes is -1; valid: whole numbers from 0"),
        ({"processes": 0}, "processes is 0"),
        ({"skill_steps": (1, 0)}, "skill_steps is 0; valid: whole numbers from 1"),
        ({"skill_steps": (5, 5)}, "each once"),
        ({"ceiling_episodes": 1}, "needs a dataset"),
        ({"seed": -1}, "seed is -1"),
        ({"dataset_episodes": 0}, "dataset_episodes is 0"),
        ({"latent": "both"}, "valid: sampled, mean"),
        ({"out": __file__}, "is not a directory"),
    ],
)
def test_values_that_are_not_valid(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        AnalysisConfig(**{"skills": "skills", "out": "out", **changes})
    assert "\n" not in str(error.value)


def test_inputs_that_do_not_fit(bundle, tmp_path):
    def analysis(**changes):
        values = {"skills": bundle, "out": str(tmp_path / "out"), **changes}
        return pipeline.Analysis(AnalysisConfig(**values))

    with pytest.raises(ValueError, match="no such directory"):
        analysis(skills=str(tmp_path / "missing"))
    with pytest.raises(ValueError, match="both bundles of helms"):
        analysis(bundles=(_save_skills(tmp_path / "other", seed=1),))
    with pytest.raises(ValueError, match="7 proprio values"):
        analysis(skills=_save_skills(tmp_path / "small", proprio=7))
    with pytest.raises(ValueError, match="does not exist"):
        analysis(dataset=str(tmp_path / "no_data"))
    setting = exploration.Setting(EnvironmentConfig.paper(), seed=1)
    exploration.record(tmp_path / "out", setting, {})
    with pytest.raises(ValueError, match="seed 1, not 0"):
        analysis()
    analysis(table1_episodes=0)


def test_the_command_prints_one_line_and_exits_2(bundle):
    done = commands.run(
        "launchers.analyse_skills", f"--skills={bundle}", "--out=x", "--episodes=0"
    )
    assert done.returncode == 2
    assert done.stderr == "error: episodes is 0; valid: whole numbers from 1\n"


def _die(job):
    if job == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return job


def _mask(job):
    return job, os.environ["OMP_NUM_THREADS"], os.environ["CUDA_VISIBLE_DEVICES"]


@pytest.mark.slow
def test_workers_have_one_thread_and_their_death_is_told():
    with workers.Workers(2, show_progress=False) as pool:
        found = sorted(pool.run(_mask, range(3), "jobs"))
        assert found == [(job, "1", "-1") for job in range(3)]
        with pytest.raises(workers.WorkerError, match="a process of jobs was killed"):
            list(pool.run(_die, range(3), "jobs"))
