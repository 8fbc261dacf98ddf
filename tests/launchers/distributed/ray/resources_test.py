"""What the nodes of a group need of a host."""

import pytest

from launchers.distributed.ray import (
    resources,
)


def _hosts(**gpus):
    return [
        resources.HostResources(ip=ip, num_cpus=8, num_gpus=count)
        for ip, count in gpus.items()
    ]


def test_two_cpus_hold_the_program():
    needs = resources.for_experiment(_hosts(a=0), launcher="a")
    one_each = ("learner", "replay", "cacher", "evaluator", "coordinator", "actor")
    assert sum(resources.of_group(needs, g).num_cpus for g in one_each) <= 2
    assert all(need.env["CUDA_VISIBLE_DEVICES"] == "" for need in needs.values())
    assert needs["actor"].env["TF_NUM_INTRAOP_THREADS"] == "1"


def test_the_learner_has_the_gpu_and_its_neighbours_go_with_it():
    needs = resources.for_experiment(_hosts(a=0, b=2), launcher="a")
    assert needs["learner"].num_gpus == 1
    assert "CUDA_VISIBLE_DEVICES" not in needs["learner"].env
    groups = ("learner", "replay", "evaluator", "coordinator", "actor")
    hosts = [resources.of_group(needs, group).host for group in groups]
    assert hosts == ["b", "b", "b", "a", None]
    assert all(
        resources.of_group(needs, group).env["CUDA_VISIBLE_DEVICES"] == ""
        for group in groups[1:]
    )
    assert resources.for_experiment(_hosts(a=1, b=2), "b")["learner"].host == "b"


def test_resources_as_ray_takes_them():
    need = resources.RayResources(
        num_cpus=0.5, memory_bytes=10, placement="spread", env={"A": "1"}
    )
    assert need.at("10.0.0.7").options() == {
        "num_cpus": 0.5,
        "num_gpus": 0.0,
        "memory": 10,
        "scheduling_strategy": "SPREAD",
        "resources": {"node:10.0.0.7": 0.0001},
        "runtime_env": {"env_vars": {"A": "1"}},
    }


@pytest.mark.parametrize("bad", [{"placement": "here"}, {"num_cpus": -1}])
def test_bad_resources(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        resources.RayResources(**bad)


def test_groups_that_are_not_named():
    small = resources.RayResources(num_cpus=0.25)
    assert resources.of_group({"": small}, "cacher") is small
    assert resources.of_group({}, "cacher") == resources.RayResources()
