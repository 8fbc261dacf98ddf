"""The capacity model against what can be worked out by hand."""

import dataclasses

import pytest

from benchmarks.load import capacity

COSTS = capacity.Costs(
    insert_costs=((100.0, 1e-3),),
    batch_cpu=0.1,
    learner_batch_cpu=0.2,
    fetch_cpu=4e-3,
    call_cpu=5e-4,
    replay_idle=0.1,
    cacher_idle=0.05,
    steps_per_insert=5.0,
    item_wire_bytes=6e3,
    batch_wire_bytes=4e6,
    fetch_wire_bytes=2e6,
    item_memory_bytes=7e3,
    batch_size=500,
)
DEMAND = capacity.Demand(
    actors=1500,
    actor_rate=20.0,
    actors_per_process=5,
    episode_steps=400,
    update_period=400,
    samples_per_insert=0.0,
    learner_rate=10.0,
    replay_size=1_000_000,
    shard_cores=4.0,
    learner_cores=4.0,
    network_bytes_per_second=1e9,
    full=0.5,
)


def test_a_plan_by_hand():
    """30,000 steps a second are 6000 inserts and 75 fetches; 10 batches at most.

    And 75 episodes' calls; 300 processes of 5 beat every 2 s, which are 150 more.
    """
    found = capacity.plan(COSTS, DEMAND)
    expected = {
        "inserts_per_second": 6000.0,
        "fetches_per_second": 75.0,
        "batches_per_second": 10.0,
        "samples_per_insert": 10 * 500 / 6000,
        "replay_cpu": 0.1 + 6.0 + 1.0,
        "cacher_cpu": 0.05 + 0.3,
        "calls_per_second": 225.0,
        "coordinator_cpu": 0.1125,
        "learner_data_cpu": 2.0,
        "network_inserts_bytes_per_second": 36e6,
        "network_batches_bytes_per_second": 40e6,
        "network_fetches_bytes_per_second": 150e6,
        "network_bytes_per_second": 226e6,
        "replay_memory_bytes": 7e9,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value), name
    # A shard has 2 cores until it is full, 0.1 of them idle: 7 / 1.9 of them.
    assert found["replay_shards"] == 4
    # A cacher has half a core, 0.05 of it idle: 0.3 / 0.45.
    assert found["cachers"] == 1


def test_what_is_full_first():
    found = capacity.plan(COSTS, DEMAND)
    # 0.1 + 4 n / 1000 + 1 is 2 cores at 225 actors.
    assert found["replay_shard_full_at_actors"] == pytest.approx(225, abs=1)
    # 0.05 + n / 20 * 0.004 is 0.5 at 2250.
    assert found["cacher_full_at_actors"] == pytest.approx(2250, abs=1)
    # n (1 / 20 + 1 / 10) calls of 0.5 ms are 0.5 at 6666.
    assert found["coordinator_full_at_actors"] == pytest.approx(6666, abs=1)
    # 10 batches a second, 2 of its 2 cores, however many actors.
    assert found["learner_data_full_at_actors"] is None
    # 40e6 + 24e3 n is 5e8 at 19,166.
    assert found["replay_network_full_at_actors"] == pytest.approx(19_166, abs=1)
    assert found["full_first"] == "replay_shard"


def test_an_insert_costs_less_the_more_there_are():
    costs = dataclasses.replace(COSTS, insert_costs=((10.0, 8e-4), (1000.0, 2e-4)))
    # Half-way between the rates, on a logarithmic scale, are 4e-4.
    expected = {1.0: 8e-4, 10.0: 8e-4, 100.0: 4e-4, 1000.0: 2e-4, 1e5: 2e-4}
    for rate, cost in expected.items():
        assert costs.insert_cpu(rate) == pytest.approx(cost)
    carried = capacity.loads(costs, capacity.Rates(100.0, 0.0, 0.0))
    assert carried["replay_shard"] == pytest.approx(0.1 + 100 * 4e-4)
    for bad in ((), ((10.0, 0.0),)):
        with pytest.raises(ValueError, match="insert_costs was not measured"):
            dataclasses.replace(COSTS, insert_costs=bad)


def test_samples_per_insert_hold_the_learner_back():
    """10 actors insert 40 a second; at 5 samples each they pay for 0.4 batches."""
    demand = dataclasses.replace(DEMAND, actors=10, samples_per_insert=5.0)
    found = capacity.rates(COSTS, demand)
    assert found.inserts == pytest.approx(40.0)
    assert found.batches == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("load", "servers"), [(0.0, 1), (1.0, 1), (1.9, 2), (1.91, 3), (10.0, 11)]
)
def test_servers_share_a_load_that_fits_exactly(load, servers):
    """Each may use one core, 0.1 of it idle; so 0.9, 1.8, 2.7 of load fit."""
    assert capacity.servers_needed(load, idle=0.1, cores=1.0) == servers


def test_a_server_that_idling_fills():
    with pytest.raises(ValueError, match="full with 1.5 when idle"):
        capacity.servers_needed(2.0, idle=1.5, cores=1.0)


def test_predicted_beside_measured():
    nodes = {"replay": {"cpu": 0.55}, "cacher": {"cpu": 0.1}}
    found = capacity.check(
        COSTS,
        {
            "actors": 4,
            "inserts_per_second": 400.0,
            "fetches_per_second": 10.0,
            "nodes": nodes,
        },
    )
    assert found["replay_cpu_predicted"] == pytest.approx(0.5)
    assert found["replay_cpu_measured"] == 0.55
    assert found["cacher_cpu_predicted"] == pytest.approx(0.09)
    assert found["cacher_cpu_measured"] == 0.1


def test_the_rate_at_which_a_server_is_full():
    """(0.5 - 0.1) cores at 4 ms are 100 a second; a cost that falls allows for more."""
    assert capacity.full_rate(0.5, 0.1, lambda _: 4e-3) == pytest.approx(100.0)
    assert capacity.full_rate(0.1, 0.1, lambda _: 4e-3) == 0.0
    # At r a second each takes 0.1 / sqrt(r) s: they fill 0.4 cores at r = 16.
    assert capacity.full_rate(0.4, 0.0, lambda r: 0.1 / r**0.5) == pytest.approx(16.0)


def test_servers_that_were_filled():
    names = ("inserts", "batches", "fetches", "calls")
    measured: dict = {"settings": {"server_cores": 0.2}}
    for name in names:
        measured[f"{name}_per_second"] = 7.0
        measured[f"{name}_server_cpu"] = 0.2
        measured[f"{name}_p50_seconds"] = measured[f"{name}_p99_seconds"] = 0.5
    found = {row["operation"]: row for row in capacity.check_full(COSTS, measured)}
    # Replay has 0.1 left, the cacher 0.15, the coordinator all.
    expected = {"inserts": 100.0, "batches": 1.0, "fetches": 37.5, "calls": 400.0}
    assert set(found) == set(names)
    for name, rate in expected.items():
        assert found[name]["per_second_predicted"] == pytest.approx(rate)
        assert found[name]["per_second_measured"] == 7.0


def test_costs_are_read_from_the_measurement():
    names = {
        "insert_costs": [[100.0, 1e-3]],
        "batches_server_cpu_seconds": 0.1,
        "batches_learner_cpu_seconds": 0.2,
        "fetches_server_cpu_seconds": 4e-3,
        "calls_server_cpu_seconds": 5e-4,
        "replay_idle_cpu": 0.1,
        "cacher_idle_cpu": 0.05,
        "replay_bytes_per_item": 7e3,
        "steps_per_insert": 5.0,
        "item_wire_bytes": 6e3,
        "batch_wire_bytes": 4e6,
        "fetch_wire_bytes": 2e6,
        "batch_size": 500,
    }
    assert capacity.Costs.from_saturation(names) == COSTS
    names.pop("fetch_wire_bytes")
    with pytest.raises(ValueError, match="fetch_wire_bytes was not measured: None"):
        capacity.Costs.from_saturation(names)


@pytest.mark.parametrize("name", ["actors", "actor_rate", "shard_cores"])
def test_demands_that_cannot_be(name):
    with pytest.raises(ValueError, match=f"{name} must be positive"):
        dataclasses.replace(DEMAND, **{name: 0})
