"""The ceiling of a bundle: its episodes made up, its distillation on real files."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents import bundles
from agents.helms_cat import distillation
from agents.helms_cat.distillation import DistillationConfig
from launchers.analysis import ceiling, exploration, explorers
from launchers.analysis.ceiling import CeilingConfig
from launchers.analysis.exploration import METRICS, Setting
from tests import dataset_files
from tests.untrained_skills import save_skills

ROOT = Path(__file__).resolve().parents[3]
SETTING = Setting("stack_red_blue", 4, True, 2, seed=0)
CONFIG = CeilingConfig(
    SETTING, episodes=5, skill_steps=(1, 10), distillation=DistillationConfig(steps=3)
)


@pytest.fixture(name="dataset", scope="module")
def _dataset(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "data"
    return str(dataset_files.write(directory, dataset_files.examples(20)))


@pytest.fixture(name="skills")
def _skills(tmp_path):
    return bundles.load(save_skills(tmp_path / "skills", window=4))


def _run(jobs):
    """Greedy agents succeed in the first 3 of 5 episodes; the return is 8 times N."""
    for job in jobs:
        row = dict.fromkeys(METRICS, 0.0)
        row["success"] = float("greedy" in job.agent.name and job.episode < 3)
        row["staged_sparse"] = 8.0 * job.agent.skill_steps
        yield {
            "agent": job.agent.name,
            "episode": job.episode,
            "seed": 0,
            "steps": 400,
            **row,
        }


def test_rows_are_of_every_way_to_act_and_stay_in_the_bundle(skills, dataset, tmp_path):
    said = ceiling.distil(skills, dataset, CONFIG.distillation, show_progress=False)
    directory = str(skills.directory)
    rows = ceiling.measure(tmp_path, directory, skills, CONFIG, _run)
    ways = [(row["high_level"], row["skill_steps"], row["return"]) for row in rows]
    assert ways == [
        ("greedy", 1, 8.0),
        ("greedy", 10, 80.0),
        ("sampled", 1, 8.0),
        ("sampled", 10, 80.0),
    ]
    # Wilson's interval of 3 in 5 by its formula.
    z = 1.959964
    centre = (0.6 + z**2 / 10) / (1 + z**2 / 5)
    half = z * np.sqrt(0.6 * 0.4 / 5 + z**2 / 100) / (1 + z**2 / 5)
    found = [rows[0][key] for key in ("success", "low", "high")]
    np.testing.assert_allclose(found, [0.6, centre - half, centre + half], rtol=1e-6)
    kept = distillation.read_description(bundles.load(directory))
    assert kept["ceiling"]["rows"] == rows and kept["agreement"] == said["agreement"]
    with open(tmp_path / "ceiling.csv") as file:
        assert [row["success"] for row in csv.DictReader(file)] == ["0.6"] * 2 + [
            "0.0"
        ] * 2
    section = ceiling.show(said, rows, CONFIG).section
    assert any("60 [23, 88]" in block for block in section.blocks)
    # The same command does not distil or run again; another high level is refused.
    again = ceiling.distil(skills, dataset, CONFIG.distillation, show_progress=False)
    assert again["ceiling"]["rows"] == rows
    ceiling.measure(tmp_path, directory, skills, CONFIG, lambda jobs: iter(list(jobs)))
    other = DistillationConfig(steps=3, seed=1)
    ceiling.distil(skills, dataset, other, show_progress=False)
    with pytest.raises(ValueError, match="another bundle of distilled_greedy"):
        ceiling.measure(tmp_path, directory, skills, CONFIG, _run)


def test_the_distilled_agents_act_by_the_kept_high_level(skills, dataset):
    ceiling.distil(skills, dataset, CONFIG.distillation, show_progress=False)
    rng = np.random.default_rng(0)
    observation = {
        "proprio": rng.normal(size=skills.proprio_dim).astype(np.float32),
        "objects": rng.normal(size=skills.object_dim).astype(np.float32),
    }
    batch = {key: value[None] for key, value in observation.items()}
    high_level = distillation.make_high_level(skills, seed=9)
    distillation.restore(skills, high_level)
    skill = np.argmax(high_level(batch), axis=-1).astype(np.int32)
    actor = explorers.Actor(explorers.make("distilled_greedy", skills))
    actor.begin(0)
    np.testing.assert_allclose(
        actor.act(observation), skills.decode(skill, batch)[0], rtol=1e-5
    )
    actions = {}
    for name in explorers.DISTILLED:
        actor = explorers.Actor(explorers.make(name, skills))
        actor.begin(0)
        drawn = [tuple(actor.act(observation)) for _ in range(20)]
        actions[name] = len(set(drawn))
    assert actions["distilled_greedy"] == 1
    assert 1 < actions["distilled_sampled"] <= skills.num_skills
    assert actions["distilled_greedy_drawn"] == 20


def test_a_data_set_of_several_tasks_is_refused(dataset, monkeypatch):
    ceiling.check_dataset(dataset)
    settings = {"settings": {"dataset": "all_pairs_stacking"}}
    monkeypatch.setattr(ceiling.loader, "manifest", lambda _: settings)
    with pytest.raises(ValueError, match="has 6 tasks"):
        ceiling.check_dataset(dataset)


@pytest.mark.slow
def test_the_benchmark_s_last_line_is_its_numbers(skills, dataset, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.ceiling",
            f"--skills={skills.directory}",
            f"--dataset={dataset}",
            "--episodes=1",
            "--skill_steps=10",
            "--steps=2",
            f"--out={tmp_path / 'out'}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for key in ("greedy_10", "sampled_10"):
        assert set(found[key]) == {"success", "low", "high", "return"}
    assert found["episodes"] == 1 and 0.0 <= found["agreement"] <= 1.0
    path = tmp_path / "out" / "ceiling_episodes.csv"
    assert exploration.TABLE1 not in path.name
    assert len(path.read_text().splitlines()) == 3
