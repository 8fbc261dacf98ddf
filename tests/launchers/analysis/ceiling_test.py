"""The ceiling of a bundle: its episodes made up, its distillation on real files."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from agents import registry
from agents.helms_cat.config import HelmsCatConfig
from agents.high_level import distillation
from agents.high_level.distillation import DistillationConfig
from datasets import loader
from datasets.rlds import recipes
from environments import EnvironmentConfig, wrappers
from launchers.analysis import ceiling, exploration, zero_shot_agents
from launchers.analysis.ceiling import CeilingConfig
from launchers.analysis.exploration import METRICS, Setting
from launchers.experiments import config as experiment_config
from tests.helpers import commands, dataset_files
from tests.helpers.untrained_skills import save_skills

ROOT = Path(__file__).resolve().parents[3]
SETTING = Setting(EnvironmentConfig.paper(), seed=0)
CONFIG = CeilingConfig(
    SETTING, episodes=5, skill_steps=(1, 10), distillation=DistillationConfig(steps=3)
)


@pytest.fixture(name="dataset", scope="module")
def _dataset(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "data"
    return str(dataset_files.write(directory, dataset_files.examples(20)))


@pytest.fixture(name="all_pairs", scope="module")
def _all_pairs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("all_pairs") / "data"
    return str(dataset_files.write(directory, dataset_files.all_pairs(7)))


@pytest.fixture(name="skills")
def _skills(tmp_path):
    return registry.load_bundle(save_skills(tmp_path / "skills", window=4))


def _no_jobs(jobs):
    """Runs none: a job that it gets is no row of an episode."""
    return list(jobs)


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
    kept = distillation.read_description(registry.load_bundle(directory))
    assert kept is not None
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
    ceiling.measure(tmp_path, directory, skills, CONFIG, _no_jobs)
    other = DistillationConfig(steps=3, seed=1)
    ceiling.distil(skills, dataset, other, show_progress=False)
    with pytest.raises(ValueError, match="another bundle of distilled_greedy"):
        ceiling.measure(tmp_path, directory, skills, CONFIG, _run)


@pytest.mark.slow
def test_the_distilled_agents_act_by_the_kept_high_level(skills, dataset):
    ceiling.distil(skills, dataset, CONFIG.distillation, show_progress=False)
    rng = np.random.default_rng(0)
    observation = {
        "proprio": rng.normal(size=skills.proprio_dim).astype(np.float32),
        "objects": rng.normal(size=skills.object_dim).astype(np.float32),
    }
    batch = {key: value[None] for key, value in observation.items()}
    high_level = distillation.load(skills)
    skill = np.argmax(high_level(batch), axis=-1).astype(np.int32)
    actor = zero_shot_agents.Actor(zero_shot_agents.make("distilled_greedy", skills))
    actor.begin(0)
    np.testing.assert_allclose(
        actor.act(observation), skills.decode(skill, batch)[0], rtol=1e-5
    )
    actions = {}
    for name in zero_shot_agents.DISTILLED:
        actor = zero_shot_agents.Actor(zero_shot_agents.make(name, skills))
        actor.begin(0)
        drawn = [tuple(actor.act(observation)) for _ in range(20)]
        actions[name] = len(set(drawn))
    assert actions["distilled_greedy"] == 1
    assert 1 < actions["distilled_sampled"] <= skills.num_skills
    assert actions["distilled_greedy_drawn"] == 20


def test_episodes_have_the_tasks_of_the_data_set_in_turns(dataset, all_pairs):
    assert ceiling.in_turns(SETTING, dataset) is SETTING
    found = ceiling.in_turns(SETTING, all_pairs)
    # The recipe's first 7: sets 1 to 5 of one pair, sets 1 and 2 of the next.
    assert found.combinations is not None
    first, second = list(dict.fromkeys(task for task, _ in found.combinations))
    told = [found.combination(i) for i in (0, 4, 5, 6, 7)]
    assert told == [(first, 1), (first, 5), (second, 1), (second, 2), (first, 1)]
    assert found == dataclasses.replace(SETTING, combinations=found.combinations)
    said = found.to_json()
    assert (said["task"], said["object_set"]) == (None, None)


def test_a_task_without_a_context_is_refused(tmp_path):
    episodes = dataset_files.all_pairs(3)
    episodes[1]["episode_metadata"]["task"] = "pyramid"
    data = dataset_files.write(tmp_path / "data", episodes)
    with pytest.raises(ValueError, match="task 'pyramid' has no context; valid: stack"):
        ceiling.in_turns(SETTING, str(data))


def test_the_high_level_of_several_tasks_is_told_the_episode_s(skills, all_pairs):
    # Fast enough that the context matters: new networks give every skill alike.
    config = DistillationConfig(steps=20, learning_rate=3e-2)
    said = ceiling.distil(skills, all_pairs, config, show_progress=False)
    assert said[distillation.CONTEXT_SIZE] == recipes.CONTEXT_SIZE
    # By hand, on the one episode of 7 that is held out: three windows of 4 steps.
    data = loader.load(all_pairs)
    proprio, objects = (
        x.numpy()[-data.lengths[-1] :] for x in (data.proprio, data.objects)
    )
    frames = np.minimum(np.arange(0, 12, 4)[:, None] + np.arange(5), 12)
    target = skills.posterior(proprio[frames], objects[frames]).numpy()
    task, object_set = recipes.RECIPES["all_pairs_stacking"][6]
    context = recipes.context((task, object_set))
    logits = distillation.load(skills)(
        {
            "proprio": proprio[frames[:, :4]],
            "objects": objects[frames[:, :4]],
            "context": np.broadcast_to(context, (3, 4, len(context))),
        }
    ).numpy()
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    expected = -(target * logs).sum(axis=-1).mean()
    assert said["cross_entropy"] == pytest.approx(expected, rel=1e-4)


def test_rows_of_several_tasks_have_the_success_of_each(skills, all_pairs, tmp_path):
    setting = ceiling.in_turns(SETTING, all_pairs)
    config = dataclasses.replace(CONFIG, setting=setting)  # 5 episodes of 7
    said = ceiling.distil(skills, all_pairs, config.distillation, show_progress=False)
    directory = str(skills.directory)
    rows = ceiling.measure(tmp_path, directory, skills, config, _run)
    greedy = rows[0]  # succeeds with sets 1, 2 and 3 of the first pair
    [task] = greedy["by_task"]
    whole = {key: greedy[key] for key in ("episodes", "success", "low", "high")}
    assert greedy["by_task"][task] == whole and whole["success"] == 0.6
    by_set = greedy["by_object_set"]
    assert list(by_set) == ["1", "2", "3", "4", "5"]
    assert [entry["success"] for entry in by_set.values()] == [1, 1, 1, 0, 0]
    # Wilson's interval of 1 in 1 goes from 1 / (1 + z^2) to 1.
    assert by_set["1"]["episodes"] == 1
    assert by_set["1"]["low"] == pytest.approx(1 / (1 + 1.959964**2), rel=1e-5)
    in_all, by_task, by_object_set = ceiling.tables(rows)
    assert in_all[1][2] == by_task[1][2] == "60 [23, 88]"
    assert by_object_set[0][2:] == [f"set {i}" for i in range(1, 6)]
    assert by_object_set[1][2].startswith("100 [21, 100")
    section = ceiling.show(said, rows, config).section
    assert any("7 tasks and object sets in turns" in b for b in section.blocks)
    # It goes on, and a setting of one task is another.
    ceiling.measure(tmp_path, directory, skills, config, _no_jobs)
    with pytest.raises(ValueError, match="task None, not 'stack_red_blue'"):
        ceiling.measure(tmp_path, directory, skills, CONFIG, _run)


def test_rl_starts_from_the_high_level_of_its_task_and_objects(skills, all_pairs):
    ceiling.distil(skills, all_pairs, CONFIG.distillation, show_progress=False)
    config = experiment_config.RunConfig(
        skills=str(skills.directory),
        workdir="",
        environment=EnvironmentConfig.paper(task="stack_green_red", object_set=2),
        agent_config=HelmsCatConfig(high_level="distilled", critic_hidden_sizes=(1,)),
    )
    spec = wrappers.environment_spec()
    policy = experiment_config.make_builder(config).make_networks(spec, seed=0).policy
    rng = np.random.default_rng(0)
    observation = {
        "proprio": rng.normal(size=(1, skills.proprio_dim)).astype(np.float32),
        "objects": rng.normal(size=(1, skills.object_dim)).astype(np.float32),
    }
    context = np.zeros([1, recipes.CONTEXT_SIZE], np.float32)
    context[0, [1, 3, 7]] = 1.0  # top green of red, green, blue; bottom red; set 2
    expected = distillation.load(skills)({**observation, "context": context})
    np.testing.assert_allclose(policy(observation), expected, atol=1e-5)

    def start(task):
        environment = EnvironmentConfig.paper(task=task)
        run = dataclasses.replace(config, environment=environment)
        networks = experiment_config.make_builder(run).make_networks(spec, seed=0)
        return networks.policy(observation).numpy()

    # Red is brought beside green before blue goes on both.
    np.testing.assert_array_equal(start("pyramid"), start("stack_red_green"))
    assert np.abs(start("pyramid") - start("stack_blue_red")).max() > 1e-4
    with pytest.raises(ValueError, match="'lift_red' has no context; valid: stack"):
        start("lift_red")


def _benchmark(*arguments):
    return commands.run("benchmarks.ceiling", *map(str, arguments), timeout=580)


@pytest.mark.slow
@pytest.mark.parametrize("several", [False, True])
def test_the_benchmark_s_last_line_is_its_numbers(
    skills, dataset, all_pairs, several, tmp_path
):
    data = all_pairs if several else dataset
    where = f"--skills={skills.directory}", f"--dataset={data}"
    done = _benchmark(
        *where,
        "--episodes=1",
        "--skill_steps=10",
        "--steps=2",
        f"--out={tmp_path / 'out'}",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    groups = {"by_task", "by_object_set"} if several else set()
    for key in ("greedy_10", "sampled_10"):
        assert set(found[key]) == {"success", "low", "high", "return"} | groups
    assert found["episodes"] == 1 and 0.0 <= found["agreement"] <= 1.0
    path = tmp_path / "out" / "ceiling_episodes.csv"
    assert exploration.TABLE1 not in path.name
    assert len(path.read_text().splitlines()) == 3
    if several:
        done = _benchmark(*where, "--object_set=4")
        assert done.returncode == 2
        assert "leave out --task and --object_set" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
