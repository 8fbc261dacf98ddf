"""What can be checked of a launch on Vertex AI without it."""

import importlib.util

import pytest

from launchers.distributed import program, vertex
from launchers.distributed.config import Layout
from tests.helpers import fakes


def test_machines_fit_the_rules_of_vertex_ai():
    experiment = fakes.make_experiment("unused")
    groups = program.make_program(experiment, 1, Layout(num_cachers=1)).groups
    machines = vertex.machines(groups)
    assert set(machines) == set(groups) > {"learner", "cacher", "replay_keeper"}
    pools = list(machines.values())
    assert len(set(pools)) <= 4
    assert pools.count(machines["learner"]) == 1  # a pool with a single node
    assert [group for group in groups if machines[group][2]] == ["learner"]


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="xmanager and docker.*pip install"):
        vertex.check("/gcs/bucket/run", None)


def test_paths_are_in_a_bucket(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(vertex.shutil, "which", lambda name: name)
    with pytest.raises(ValueError, match="--workdir in a bucket"):
        vertex.check("runs/agent", None)
    with pytest.raises(ValueError, match="--skills in a bucket"):
        vertex.check("/gcs/bucket/run", "runs/skills")
    vertex.check("/gcs/bucket/run", "/gcs/bucket/skills")
