"""Model of the resources of a program of N actors, from the costs of operations.

An operation costs the CPU seconds that it takes its server. An insert costs less at
higher rates, as the server finds several when it wakes: its cost is measured at some
rates and interpolated between them, on logarithmic scales. Rates follow from the
actors: an item every `steps_per_insert` steps, a fetch every `update_period` steps, a
call to the coordinator every episode and every heartbeat of a process; the learner
takes batches at its own rate, or as many as `samples_per_insert` allows. The idle use
of servers is added. A server is full at the share `full` of the cores it can use: one
for a cacher and the coordinator (Python's interpreter lock), as many as they are given
for a replay shard and the learner's data set.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import optimize

from launchers.distributed import heartbeat

_MOST_ACTORS = 1 << 40


@dataclasses.dataclass(frozen=True)
class Costs:
    """Measured costs; see `benchmarks.load.saturation`."""

    # (inserts per second, seconds of the replay server per item), by rising rates.
    insert_costs: tuple[tuple[float, float], ...]
    batch_cpu: float  # seconds of the replay server per batch
    learner_batch_cpu: float  # seconds of the learner's data set per batch
    fetch_cpu: float  # seconds of the cacher per fetch
    call_cpu: float  # seconds of the coordinator per call
    replay_idle: float  # cores
    cacher_idle: float  # cores
    steps_per_insert: float
    item_wire_bytes: float
    batch_wire_bytes: float
    fetch_wire_bytes: float
    item_memory_bytes: float  # of the replay server
    batch_size: int

    def __post_init__(self) -> None:
        """Raises ValueError for a cost that is missing or negative."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "insert_costs":
                measured = bool(value) and np.all(np.asarray(value) > 0)
            else:
                measured = value is not None and value >= 0
            if not measured:
                raise ValueError(f"{field.name} was not measured: {value}")

    def insert_cpu(self, rate: float) -> float:
        """Returns the replay server's seconds per item at a rate of items per second.

        Outside the measured rates it is the cost at the nearest one.
        """
        rates, costs = np.log(np.asarray(self.insert_costs)).T
        return float(np.exp(np.interp(np.log(max(rate, 1e-9)), rates, costs)))

    @classmethod
    def from_saturation(cls, measured: Mapping[str, Any]) -> Costs:
        """Makes costs from the results that `--saturate` writes.

        Raises:
          ValueError: a result is missing.
        """
        names = {
            "batch_cpu": "batches_server_cpu_seconds",
            "learner_batch_cpu": "batches_learner_cpu_seconds",
            "fetch_cpu": "fetches_server_cpu_seconds",
            "call_cpu": "calls_server_cpu_seconds",
            "replay_idle": "replay_idle_cpu",
            "cacher_idle": "cacher_idle_cpu",
            "item_memory_bytes": "replay_bytes_per_item",
        }
        values: dict[str, Any] = {
            field.name: measured.get(names.get(field.name, field.name))
            for field in dataclasses.fields(cls)
        }
        values["insert_costs"] = tuple(map(tuple, values["insert_costs"] or ()))
        return cls(**values)


@dataclasses.dataclass(frozen=True)
class Demand:
    """Demand on the program."""

    actors: int
    actor_rate: float = 20.0  # steps per second of one actor; real time
    actors_per_process: int = 1
    episode_steps: int = 400
    update_period: int = 400  # steps between an actor's fetches
    samples_per_insert: float = 32.0  # 0: no limit to the learner
    learner_rate: float = 10.0  # most batches per second
    replay_size: int = 1_000_000  # items
    shard_cores: float = 4.0  # cores that a replay shard may use
    learner_cores: float = 4.0  # cores that the learner's data set may use
    network_bytes_per_second: float = 1.25e9  # of one machine; 10 Gbit/s
    full: float = 0.7  # share of its cores at which a server is full

    def __post_init__(self) -> None:
        """Raises ValueError for invalid values."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name != "samples_per_insert" and not value > 0:
                raise ValueError(f"{field.name} must be positive, got {value}")
        if self.samples_per_insert < 0:
            raise ValueError("samples_per_insert must not be negative")


@dataclasses.dataclass(frozen=True)
class Rates:
    """Operations per second of the whole program."""

    inserts: float
    fetches: float
    batches: float
    calls: float = 0.0


def rates(costs: Costs, demand: Demand) -> Rates:
    """Computes the operations that the demand asks of replay, cachers and learner."""
    steps = demand.actors * demand.actor_rate
    inserts = steps / costs.steps_per_insert
    batches = demand.learner_rate
    if demand.samples_per_insert:
        paid = inserts * demand.samples_per_insert / costs.batch_size
        batches = min(batches, paid)
    beats = demand.actors / demand.actors_per_process / heartbeat.BEAT_SECONDS
    return Rates(
        inserts,
        fetches=steps / demand.update_period,
        batches=batches,
        calls=steps / demand.episode_steps + beats,
    )


def loads(costs: Costs, asked: Rates) -> dict[str, float]:
    """Computes the load of each part if there were one: cores, or bytes per second."""
    return {
        "replay_shard": costs.replay_idle
        + asked.inserts * costs.insert_cpu(asked.inserts)
        + asked.batches * costs.batch_cpu,
        "cacher": costs.cacher_idle + asked.fetches * costs.fetch_cpu,
        "coordinator": asked.calls * costs.call_cpu,
        "learner_data": asked.batches * costs.learner_batch_cpu,
        "replay_network": asked.inserts * costs.item_wire_bytes
        + asked.batches * costs.batch_wire_bytes,
    }


def servers_needed(load: float, idle: float, cores: float) -> int:
    """Computes the servers needed for a load; each may use `cores` and idles at `idle`.

    Raises:
      ValueError: an idle server is full.
    """
    if cores <= idle:
        raise ValueError(f"a server with {cores} cores is full with {idle} when idle")
    # The tolerance keeps a load that fits exactly from a further server.
    return max(1, math.ceil((load - idle) / (cores - idle) - 1e-9))


def plan(costs: Costs, demand: Demand) -> dict[str, Any]:
    """Computes what the program needs, and which part is full first.

    Returns:
      By name: rates, servers, cores, bytes per second, bytes of memory; for each part
      of `loads` the number of actors at which it is full (None: never), and the part
      that is full first.
    """
    asked = rates(costs, demand)
    carried = loads(costs, asked)
    limits = {
        "replay_shard": demand.full * demand.shard_cores,
        "cacher": demand.full,
        "coordinator": demand.full,
        "learner_data": demand.full * demand.learner_cores,
        "replay_network": demand.full * demand.network_bytes_per_second,
    }
    full_at = {
        part: _actors_until(costs, demand, part, limit)
        for part, limit in limits.items()
    }
    ends = {part: n for part, n in full_at.items() if n is not None}
    network = {
        "inserts": asked.inserts * costs.item_wire_bytes,
        "batches": asked.batches * costs.batch_wire_bytes,
        "fetches": asked.fetches * costs.fetch_wire_bytes,
    }
    return {
        **{f"{k}_per_second": v for k, v in dataclasses.asdict(asked).items()},
        # Below the limiter's value, the learner is too slow, and inserts would wait.
        "samples_per_insert": asked.batches * costs.batch_size / asked.inserts,
        "replay_cpu": carried["replay_shard"],
        "cacher_cpu": carried["cacher"],
        "coordinator_cpu": carried["coordinator"],
        "learner_data_cpu": carried["learner_data"],
        "replay_shards": servers_needed(
            carried["replay_shard"], costs.replay_idle, limits["replay_shard"]
        ),
        "cachers": servers_needed(
            carried["cacher"], costs.cacher_idle, limits["cacher"]
        ),
        **{f"network_{k}_bytes_per_second": v for k, v in network.items()},
        "network_bytes_per_second": sum(network.values()),
        "replay_memory_bytes": demand.replay_size * costs.item_memory_bytes,
        **{f"{part}_full_at_actors": n for part, n in full_at.items()},
        "full_first": min(ends, key=lambda part: ends[part]) if ends else None,
    }


def _actors_until(costs: Costs, demand: Demand, part: str, limit: float) -> int | None:
    """Finds the most actors that a part carries; None if it carries any number."""

    def fits(actors: int) -> bool:
        if not actors:
            return True
        asked = rates(costs, dataclasses.replace(demand, actors=actors))
        return loads(costs, asked)[part] <= limit

    if fits(_MOST_ACTORS):
        return None
    return bisect.bisect_left(range(_MOST_ACTORS), True, key=lambda n: not fits(n)) - 1


def full_rate(cores: float, idle: float, cpu_at: Callable[[float], float]) -> float:
    """Finds the operations per second at which a server uses all its cores.

    Args:
      cores: cores that it may use.
      idle: cores that it uses when idle.
      cpu_at: seconds per operation at a rate; falls more slowly than the rate rises.
    """
    if cores <= idle:
        return 0.0

    def left(rate: float) -> float:
        return cores - idle - rate * cpu_at(rate)

    high = 1.0
    while left(high) > 0:
        high *= 2
    return float(optimize.brentq(left, 1e-9, high))


def check_full(costs: Costs, measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compares predicted and measured full rates of servers held to a share of cores.

    Args:
      costs: costs of the model.
      measured: result of `--saturate --server_cores`.
    """
    cores = measured["settings"]["server_cores"]
    rates_predicted = {
        "inserts": full_rate(cores, costs.replay_idle, costs.insert_cpu),
        "batches": full_rate(cores, costs.replay_idle, lambda _: costs.batch_cpu),
        "fetches": full_rate(cores, costs.cacher_idle, lambda _: costs.fetch_cpu),
        "calls": full_rate(cores, 0.0, lambda _: costs.call_cpu),
    }
    return [
        {
            "operation": name,
            "server_cores": cores,
            "server_cpu": measured[f"{name}_server_cpu"],
            "per_second_predicted": rate,
            "per_second_measured": measured[f"{name}_per_second"],
            "p50_seconds": measured[f"{name}_p50_seconds"],
            "p99_seconds": measured[f"{name}_p99_seconds"],
        }
        for name, rate in rates_predicted.items()
    ]


def check(costs: Costs, measured: Mapping[str, Any]) -> dict[str, Any]:
    """Compares the model's prediction for a run of actors with the measurement.

    Args:
      costs: costs of the model.
      measured: result of a run: `inserts_per_second`, `fetches_per_second` and the
        usage of `nodes`.

    Returns:
      The cores of replay and cacher, predicted and measured.
    """
    asked = Rates(
        measured["inserts_per_second"], measured["fetches_per_second"], batches=0.0
    )
    carried = loads(costs, asked)
    return {
        "actors": measured["actors"],
        "inserts_per_second": asked.inserts,
        "fetches_per_second": asked.fetches,
        "replay_cpu_predicted": carried["replay_shard"],
        "replay_cpu_measured": measured["nodes"]["replay"]["cpu"],
        "cacher_cpu_predicted": carried["cacher"],
        "cacher_cpu_measured": measured["nodes"]["cacher"]["cpu"],
    }
