"""Figures as data, and the plans that are made of them."""

import pathlib

import numpy as np
import pytest

from agents.registry import AGENTS, MODELS
from datasets import loader
from datasets.rlds.recipes import RECIPES
from environments import EnvironmentConfig
from launchers.common import atomic_files
from launchers.reproduction import figures, page, runs
from launchers.reproduction.plan import Options, Plan, check_only
from launchers.reproduction.runs import Run
from tests.helpers import untrained_skills

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)  # where pretrained/ is


def _plan(name, tmp_path, scale="laptop", **options):
    return Plan(name, Options(scale, tmp_path, **options))


def test_figures_name_agents_settings_and_environments_that_there_are():
    for name, figure in figures.FIGURES.items():
        for scale in figures.SCALES:
            arms = figure.arms_at(scale)
            assert bool(arms) == bool(figure.panels) != bool(figure.analysed), name
            assert len({arm.name for arm in arms}) == len(arms), name
            for arm in arms:
                agent = AGENTS[arm.agent]
                model = figures.BUNDLES[arm.bundle].model if arm.bundle else None
                assert agent.model in (model, None), (name, arm.name)
                agent.config_type(**arm.settings)
            for bundle in figure.bundles(scale):
                spec = figures.BUNDLES[bundle]
                assert spec.dataset in RECIPES
                MODELS[spec.model].offline.config_type(**spec.of(scale))
        for panel in figure.panels:
            EnvironmentConfig.paper(**panel.settings)


def test_table_5_s_settings_of_figures():
    def settings(figure, arm, scale="paper"):
        arms = {a.name: a for a in figures.find(figure).arms_at(scale)}
        return arms[arm].settings

    bundles = figures.BUNDLES
    assert bundles["helms_all_pairs"].of("paper")["num_skills"] == 10
    assert bundles["helms"].of("paper") == {"num_skills": 5, "beta_z": 0.0}
    assert settings("5", "helms_mix") == {"eta_z": 0.1}
    vision = AGENTS["helms_mix"].vision or {}
    assert vision.items() >= {"eta_z": 0.1, "eta_y": 0.1}.items()
    found = {arm.settings.get("eta_z") for arm in figures.find("9").arms}
    assert found == {None, 0.01, 0.1, 1.0, 10.0, 100.0}


def test_a_laptop_takes_what_is_pretrained_and_paper_makes_its_own(tmp_path):
    plan = _plan("4", tmp_path)
    assert not plan.before and not plan.after and len(plan.runs) == 4 * 6 * 3
    assert plan.paths["helms"] == "pretrained/helms_red_on_blue"
    mpo = next(run for run in plan.runs if run.arm == "mpo")
    assert mpo.settings["skills"] == "pretrained/helms_red_on_blue"  # its statistics
    plan = _plan("4", tmp_path, scale="paper", launch="local_mp", seeds=1)
    modules = [step.module for step in plan.before]
    assert modules == ["launchers.collect", *["launchers.train_skills"] * 4]
    assert plan.before[1].settings["beta_z"] == 0.0
    assert all("balance" not in step.settings for step in plan.before)
    assert all(run.settings["num_actors"] == 1500 for run in plan.runs)
    commands = plan.commands()
    assert len(commands) == 5 + 4 * 6 and "--launch=local_mp" in commands[-1]
    assert commands[0].startswith("python -m launchers.collect")


def test_ablations_learn_and_distil_what_they_lack(tmp_path):
    plan = _plan("8", tmp_path, seeds=1)
    titles = [step.title for step in plan.before]
    assert [title.split()[0] for title in titles] == ["collect", "learn", "distil"]
    assert plan.before[1].settings["variant"] == "discrete"
    assert plan.before[1].settings["balance"] == 0.5
    done = plan.before[1].result
    done.mkdir(parents=True)
    assert [step.is_done() for step in plan.before] == [False, True, False]
    assert "done: learn helms_discrete" in plan.describe()
    assert plan.seconds(speed=2.0) == pytest.approx(plan.seconds() / 2)


def test_only_some_runs_and_only_what_they_need(tmp_path):
    everything = _plan("8", tmp_path, seeds=2)
    plan = _plan("8", tmp_path, seeds=2, only=["set_4*/both_*", "*/continuous_only_1"])
    assert [str(run) for run in plan.incomplete] == [
        "set_4_staged_sparse/both_0",
        "set_4_staged_sparse/both_1",
        "set_4_staged_sparse/continuous_only_1",
        "set_3_staged_sparse/continuous_only_1",
    ]
    assert everything.before and not plan.before
    assert [*map(str, plan.runs)] == [*map(str, everything.runs)]
    made = {str(run): run.settings for run in everything.incomplete}
    for run in plan.incomplete:
        assert run.settings == made[str(run)]
    assert not _plan("table1", tmp_path, only=["*"]).steps()


def test_baselines_alone_still_get_the_statistics(tmp_path):
    plan = _plan("4", tmp_path, seeds=1, only=["*/mpo_0"])
    assert len(plan.incomplete) == 4
    assert {run.settings["skills"] for run in plan.incomplete} == {
        "pretrained/helms_red_on_blue"
    }


def test_a_pattern_must_match_a_run(tmp_path):
    every = _plan("8", tmp_path).runs
    check_only(["*/both_2"], every)
    with pytest.raises(ValueError, match="set_4_staged_sparse, .*arms: both, d"):
        check_only(["*/both_2", "*/both_3"], every)


def test_given_bundles_must_fit(tmp_path):
    own = untrained_skills.save_skills(tmp_path / "own", num_skills=5)
    plan = _plan("8", tmp_path, skills=[own])
    assert plan.paths["helms"] == own
    other = untrained_skills.save_skills(tmp_path / "other", num_skills=4)
    with pytest.raises(
        ValueError, match="takes no bundle like .*num_skills 5"
    ) as error:
        _plan("8", tmp_path, skills=[other])
    assert "\n" not in str(error.value)


def test_a_given_data_set_must_be_of_the_figure(tmp_path, monkeypatch):
    data = tmp_path / "data"
    for settings, fits in (
        ({"dataset": "red_on_blue_stacking"}, True),
        ({"dataset": None, "task": "stack_red_blue", "object_set": 4}, True),
        ({"dataset": "all_pairs_stacking"}, False),
        ({"dataset": None, "task": "stack_red_blue", "object_set": 1}, False),
    ):
        record = {"settings": settings}
        monkeypatch.setattr(loader, "manifest", lambda _, record=record: record)
        if fits:
            plan = _plan("9", tmp_path, dataset=str(data))
            assert plan.before[0].settings["dataset"] == str(data)
        else:
            with pytest.raises(ValueError, match="9 needs red_on_blue_stacking"):
                _plan("9", tmp_path, dataset=str(data))


def test_what_there_is_not_is_named(tmp_path):
    with pytest.raises(ValueError, match="unknown figure '11'; valid: 3, 4, .*table1"):
        _plan("11", tmp_path)
    with pytest.raises(ValueError, match="unknown scale 'desk'; valid: laptop, paper"):
        _plan("4", tmp_path, scale="desk")


def _write(run, returns):
    rows = [(400 * (i + 1), value, int(value > 1)) for i, value in enumerate(returns)]
    atomic_files.write_csv(run.csv, ("actor_steps", "episode_return", "success"), rows)


def test_results_and_page_are_of_the_csvs(tmp_path):
    made = [
        Run(tmp_path / "figure_8", "set_4_staged_sparse", arm, seed, 800, {})
        for arm in ("both", "discrete_only")
        for seed in (0, 1)
    ]
    for run, value in zip(made, (2.0, 4.0, 0.0, 0.0), strict=True):
        assert not run.is_complete() and run.steps_taken() == 0
        _write(run, [value, value])
        assert run.is_complete()
    ((returns, entries),) = runs.results(made).values()
    assert [curve[:, 1].tolist() for curve in returns["both"]] == [[2, 2], [4, 4]]
    assert entries["both"]["area"] == 3.0 and entries["discrete_only"]["success"] == 0
    half = 12.706 * np.sqrt(2) / np.sqrt(2)  # Student's t of two values
    assert entries["both"]["high"]["area"] == pytest.approx(3.0 + half, rel=1e-3)

    plan = _plan("8", tmp_path)
    summary = {"steps": 800, "panels": {"set_4_staged_sparse": entries}}
    atomic_files.write_json(plan.root / "summary.json", summary)
    target = tmp_path / "page.md"
    marks = "<!-- {0} -->\nold\n<!-- end of {0} -->\n"
    marked = "between\n".join(map(marks.format, ("settings", "results")))
    target.write_text(f"before\n{marked}after\n")
    page.write(target, [plan])
    text = target.read_text()
    assert text.startswith("before\n") and text.endswith("after\n")
    assert "old" not in text and "between\n" in text
    assert "| 8 | set 4, staged-sparse, set 3," in text
    assert "| set 4, staged-sparse | both | 2 | 3 (-10 to 16) | 100 % |" in text
    target.write_text("mine")
    with pytest.raises(ValueError, match="has no lines"):
        page.write(target, [plan])
