"""Which runs make a group, how it is called, and the hours of a run that was paused."""

import numpy as np
import pytest

from launchers.common import atomic_files
from launchers.comparison import runs
from tests.helpers import finished_runs


def _write(directory, name, **settings):
    finished_runs.write(directory / name, [1.0, 2.0], [0, 1], **settings)
    return str(directory / name)


def test_runs_that_differ_in_the_seed_only_are_a_group(tmp_path):
    directories = [
        _write(tmp_path, "a1", seed=1, learning_rate=1e-3),
        _write(tmp_path, "b", learning_rate=1e-4),
        _write(tmp_path, "a0", seed=0, learning_rate=1e-3),
        _write(tmp_path, "c", learning_rate=1e-3, object_set=2),
    ]
    groups = runs.group(runs.read(directories))
    # The learning rate and the object set of over half of them are not said.
    assert [g.label for g in groups] == [
        "mpo",
        "mpo, learning_rate=0.0001",
        "mpo, object_set=2",
    ]
    assert [run.seed for run in groups[0].runs] == [0, 1]
    assert runs.differing([group.settings for group in groups]) == {
        "object_set": ["4", "4", "2"],
        "learning_rate": ["0.001", "0.0001", "0.001"],
    }


def test_the_budget_is_no_setting_and_an_old_record_has_the_defaults(tmp_path):
    directories = [_write(tmp_path, name) for name in "ab"]
    path = tmp_path / "a" / "config.json"
    content = atomic_files.read_json(path)
    content["budget"]["max_actor_steps"] = 7
    del content["agent_config"]["n_step"], content["environment"]["preset"]
    del content["starts"]
    atomic_files.write_json(path, content)
    (group,) = runs.group(runs.read(directories))
    # Without starts, the first episode tells how long it took.
    for run in group.runs:
        np.testing.assert_allclose(run.hours, [10 / 3600, 20 / 3600])


def test_hours_leave_out_pauses(tmp_path):
    workdir = finished_runs.write(tmp_path / "a", [0.0] * 6, [0] * 6)  # 10 s to 60 s
    finished_runs.set_starts(workdir, [2.0, 32.0, 45.0, 58.0])
    (run,) = runs.read([str(workdir)])
    # 8 s, 18 s, 28 s; then 40 s after 32 s, 50 s after 45 s, 60 s after 58 s.
    np.testing.assert_allclose(3600 * run.hours, [8, 18, 28, 36, 41, 43])


def test_the_directory_of_several_seeds_stands_for_its_runs(tmp_path):
    for seed in (1, 0):
        _write(tmp_path / "all", f"seed_{seed}", seed=seed)
    (group,) = runs.group(runs.read([str(tmp_path / "all")]))
    assert [run.workdir.name for run in group.runs] == ["seed_0", "seed_1"]


def test_what_is_no_run_is_refused(tmp_path):
    directory = _write(tmp_path, "a")
    with pytest.raises(ValueError, match="is given twice"):
        runs.read([directory, f"{directory}/../a"])
    with pytest.raises(ValueError, match="no run in .*; valid: a workdir of train_ag"):
        runs.read([str(tmp_path / "none")])
    finished_runs.write(tmp_path / "new", [], [])
    with pytest.raises(ValueError, match="new has no episode yet"):
        runs.read([str(tmp_path / "new")])
