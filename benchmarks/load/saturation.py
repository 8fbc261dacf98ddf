"""Saturation of a replay server, a cacher, a coordinator and a learner's data set.

Each is driven alone, as hard as this machine can. Where load generator and server share
the cores, the observed rate is not the server's limit. The results are therefore the
server's CPU seconds per operation, and from them the rate that one core would hold.
Limited to a share of a core (`Settings.server_cores`) a server does reach its limit,
which shows whether those seconds are right, and how long operations take there.
"""

from __future__ import annotations

import array
import dataclasses
import functools
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import courier
import numpy as np
import reverb
import tqdm

from benchmarks.load import actors as light_actors
from benchmarks.load import light, limits, processes, relay, servers, setup, usage
from benchmarks.load.settings import Inputs, Settings
from launchers.distributed import heartbeat

_CALLING_THREADS = 4
_SPACED_ACTORS = (5, 50)  # actors at which inserts are measured besides full load
_IDLE_SECONDS = 15.0  # long, because CPU is counted in steps of 10 ms
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s"
_PREFILL_BATCHES = 2  # batches in the table before any is taken


def one_core_rate(cpu_seconds: float, count: int) -> float | None:
    """Returns the operations per second that one core holds; None if none were done."""
    return count / cpu_seconds if cpu_seconds > 0 and count else None


class Driven(NamedTuple):
    """Work of a server and its clients under full load."""

    done: int  # operations
    seconds: float
    server_cpu: float  # seconds
    client_cpu: float  # seconds
    server_rss_mb: float  # at the end
    latencies: np.ndarray  # seconds of each operation


def _per_operation(name: str, driven: Driven, idle: float = 0.0) -> dict[str, Any]:
    """Returns the results of one server under one load, by name.

    An operation's CPU excludes the server's idle use.
    """
    cpu = driven.server_cpu - idle * driven.seconds
    return {
        f"{name}_per_second": driven.done / driven.seconds,
        f"{name}_server_cpu_seconds": cpu / driven.done if driven.done else None,
        f"{name}_per_second_of_one_core": one_core_rate(cpu, driven.done),
        f"{name}_server_cpu": driven.server_cpu / driven.seconds,
        f"{name}_client_cpu": driven.client_cpu / driven.seconds,
        f"{name}_server_rss_mb": driven.server_rss_mb,
        **light.percentiles(name, driven.latencies),
    }


def measure_inserts(settings: Settings, inputs: Inputs) -> dict[str, Any]:
    """Measures an insert's cost to the server, at some rates and at full load.

    The memory of an item is the server's growth over the items that stayed, so
    `settings.replay_size` should exceed the number of inserts.
    """
    insert_costs = []
    for actors in () if settings.server_cores else _SPACED_ACTORS:
        slow = dataclasses.replace(
            settings,
            actors=actors,
            steps_per_second=actors * setup.REAL_TIME,
            seconds=settings.seconds / 2,
        )
        insert_costs.append(_insert_cost(light.measure(slow, inputs).result))
    run = light.measure(settings, inputs)
    insert_costs.append(_insert_cost(run.result))
    result, nodes = run.result, run.result["nodes"]
    seconds = result["seconds"]
    inserted = round(result["inserts_per_second"] * seconds)
    actors = sum(nodes[node]["cpu"] for node in nodes if node.startswith("actors"))
    memory = [sample.rss_mb for sample in run.samples if sample.node == "replay"]
    driven = Driven(
        inserted,
        seconds,
        nodes["replay"]["cpu"] * seconds,
        actors * seconds,
        nodes["replay"]["rss_mb"],
        run.insert,
    )
    return {
        **_per_operation("inserts", driven),
        "insert_costs": sorted(insert_costs),
        "inserts_lost": result["lost"],
        "steps_actor_cpu_seconds": actors * seconds / max(1, result["steps"]),
        "steps_per_insert": result["steps"] / max(1, inserted),
        "replay_bytes_per_item": 1e6
        * (memory[-1] - memory[0])
        / max(1, min(inserted, settings.replay_size)),
    }


def _insert_cost(result: dict[str, Any]) -> tuple[float, float]:
    """Returns inserts per second, and the replay server's CPU seconds for each."""
    rate = result["inserts_per_second"]
    return rate, result["nodes"]["replay"]["cpu"] / max(rate, 1e-9)


def measure_fetches(settings: Settings, inputs: Inputs) -> dict[str, Any]:
    """Measures a fetch's cost to the cacher at full load, and the cacher's idle use."""
    with processes.running(inputs.logs) as start:
        learner = start("learner", servers.learner, inputs.variables)
        cacher = start("cacher", servers.cache, learner.receive("port"), 1.0)
        port = cacher.receive("port")
        idle = _idle_cpu(cacher)
        driven = _drive(start("caller", _fetch, port), cacher, settings)
    return {
        **_per_operation("fetches", driven, idle),
        "fetches_actor_cpu_seconds": driven.client_cpu / max(1, driven.done),
        "cacher_idle_cpu": idle,
        "variables_bytes": sum(value.nbytes for value in inputs.variables),
    }


def measure_calls(settings: Settings, inputs: Inputs) -> dict[str, Any]:
    """Measures a call's cost to the coordinator, by counts and heartbeats in turns."""
    with processes.running(inputs.logs) as start:
        server = start("coordinator", servers.coordinator, str(inputs.logs))
        port = server.receive("port")
        driven = _drive(start("caller", _call, port), server, settings)
    return _per_operation("calls", driven)


def measure_batches(settings: Settings, inputs: Inputs) -> dict[str, Any]:
    """Measures the learner's data set on a filled table, and the bytes transferred."""
    config = setup.make_builder(settings.agent, settings.seed).config
    wanted = max(config.min_replay_size, _PREFILL_BATCHES * config.batch_size)
    replay_size = max(settings.replay_size, 2 * wanted)
    node = settings.agent, settings.seed
    host = light_actors.loopback(0)
    with processes.running(inputs.logs) as start:
        replay = start("replay", servers.replay, *node, replay_size)
        learner = start("learner", servers.learner, inputs.variables)
        port, learner_port = (node.receive("port") for node in (replay, learner))
        idle = _idle_cpu(replay)
        with (
            relay.Relay(port, host) as to_replay,
            relay.Relay(learner_port, host) as to_learner,
        ):
            load = light_actors.Load(
                *node,
                actors=range(1),
                episodes=inputs.episodes,
                variables=inputs.variables,
                replay_port=to_replay.port,
                cacher_port=to_learner.port,
                seconds_per_step=0.0,
                update_period=settings.update_period,
                threads=1,
            )
            filler = start("filler", light_actors.run, load)
            fetches = _fill(filler, reverb.Client(f"localhost:{port}"), wanted)
            items = servers.inserts(reverb.Client(f"localhost:{port}")).completed
            item_bytes = to_replay.bytes / items
            fetch_bytes = to_learner.bytes / fetches
            filler.stop()
            carried = to_replay.bytes
            relayed = _drive(
                start("sampler", _sample, *node, f"{host}:{to_replay.port}"),
                replay,
                dataclasses.replace(settings, server_cores=None),
            )
            ahead = 1 + config.prefetch_batches  # taken before, and prefetched
            batch_bytes = (to_replay.bytes - carried) / (relayed.done + ahead)
        driven = _drive(
            start("sampler", _sample, *node, f"localhost:{port}"),
            replay,
            settings,
        )
    return {
        **_per_operation("batches", driven, idle),
        "batches_learner_cpu_seconds": driven.client_cpu / max(1, driven.done),
        "replay_idle_cpu": idle,
        "batch_size": config.batch_size,
        "sequence_length": config.sequence_length,
        "item_wire_bytes": item_bytes,
        "fetch_wire_bytes": fetch_bytes,
        "batch_wire_bytes": batch_bytes,
    }


def _fill(filler: processes.Node, client: reverb.Client, wanted: int) -> int:
    """Lets a light actor step until there are `wanted` items; returns its fetches."""
    filler.receive("ready")
    filler.send("go")
    with tqdm.tqdm(total=wanted, desc="filling replay", unit="item") as bar:
        while (size := servers.inserts(client).size) < wanted:
            filler.poll(0.5)
            bar.update(size - bar.n)
        bar.update(wanted - bar.n)
    filler.send("stop")
    report = filler.receive("report")
    return report.first_fetches + report.progress.fetches


def _idle_cpu(node: processes.Node) -> float:
    before = usage.cpu_seconds(node.pid)
    _wait(_IDLE_SECONDS, f"{node.name} idle")
    return (usage.cpu_seconds(node.pid) - before) / _IDLE_SECONDS


def _wait(seconds: float, title: str) -> None:
    begin = time.monotonic()
    with tqdm.tqdm(total=seconds, desc=title, bar_format=_BAR) as bar:
        while (elapsed := time.monotonic() - begin) < seconds:
            time.sleep(min(1.0, seconds - elapsed))
            bar.update(min(seconds, time.monotonic() - begin) - bar.n)


def _drive(
    client: processes.Node, server: processes.Node, settings: Settings
) -> Driven:
    """Lets a node of `_between_go_and_stop` work for `settings.seconds`."""
    client.receive("ready")
    nodes = (server, client)
    with limits.held(settings.server_cores, server.pid):
        before = [usage.cpu_seconds(node.pid) for node in nodes]
        client.send("go")
        _wait(settings.seconds, client.name)
        client.send("stop")
        latencies, elapsed = client.receive("done")
        server_cpu, client_cpu = (
            usage.cpu_seconds(n.pid) - b for n, b in zip(nodes, before, strict=True)
        )
    client.stop()
    memory = usage.rss_mb(server.pid)
    return Driven(len(latencies), elapsed, server_cpu, client_cpu, memory, latencies)


def _clients(port: int) -> list[courier.Client]:
    """Makes a client for each calling thread, with its own connection."""
    return [
        courier.Client(f"{light_actors.loopback(i)}:{port}")
        for i in range(_CALLING_THREADS)
    ]


def _fetch(pipe: Connection, port: int) -> None:
    """Runs a node that fetches variables in some threads without pause."""
    _between_go_and_stop(
        pipe,
        [functools.partial(c.get_variables, ["policy"]) for c in _clients(port)],
    )


def _call(pipe: Connection, port: int) -> None:
    """Runs a node that sends counts and heartbeats as actors do, in some threads."""
    state = heartbeat.Heartbeat("", None, threading.Event()).state()

    def in_turn(client: courier.Client) -> Callable[[], object]:
        calls = itertools.cycle(
            [
                lambda: client.increment(actor_steps=400, actor_episodes=1),
                lambda: client.beat("actor/0", state),
            ]
        )
        return lambda: next(calls)()

    _between_go_and_stop(pipe, [in_turn(client) for client in _clients(port)])


def _sample(pipe: Connection, agent: str, seed: int, address: str) -> None:
    """Runs a node that takes batches as the learner does, without pause."""
    builder = setup.make_builder(agent, seed)
    dataset = builder.make_dataset_iterator(reverb.Client(address))
    _between_go_and_stop(pipe, [lambda: next(dataset)])


def _between_go_and_stop(
    pipe: Connection, functions: Sequence[Callable[[], object]]
) -> None:
    """Calls each function repeatedly, in its own thread, from "go" to "stop".

    Sends ("done", (seconds of each call, seconds of all)).

    Raises:
      Exception: the first exception that a function raised.
    """
    stop = threading.Event()
    latencies = [array.array("d") for _ in functions]
    errors: list[Exception] = []

    def work(i: int) -> None:
        try:
            while not stop.is_set():
                begin = time.perf_counter()
                functions[i]()
                latencies[i].append(time.perf_counter() - begin)
        except Exception as e:
            errors.append(e)

    for function in functions:
        function()  # connects before the clock starts
    threads = [
        threading.Thread(target=work, args=(i,), daemon=True)
        for i in range(len(functions))
    ]
    pipe.send(("ready", None))
    pipe.recv()
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    pipe.recv()
    stop.set()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    pipe.send(("done", (np.concatenate(latencies), time.monotonic() - begin)))
    pipe.recv()
