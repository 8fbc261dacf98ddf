"""The benchmark's servers, each a node; the learner is a stand-in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import courier
import numpy as np
import reverb

from agents.mpo.builder import TABLE
from benchmarks.load import processes, setup
from environments import wrappers
from launchers.distributed import heartbeat, variable_cache, variable_cacher
from launchers.experiments import loop_hooks


class Inserts(NamedTuple):
    """What the replay table has counted since it was made."""

    completed: int  # inserts
    size: int  # items
    worker_busy_ms: int  # of the table's one thread that inserts and samples


def replay(pipe: Connection, agent: str, seed: int, replay_size: int) -> None:
    """Serves the agent's table without limit of rates; sends its port."""
    builder = setup.make_builder(agent, seed, replay_size)
    server = reverb.Server(
        builder.make_replay_tables(wrappers.environment_spec(), limit_rate=False)
    )
    pipe.send(("port", server.port))
    processes.wait_for_end(pipe)


def inserts(client: reverb.Client) -> Inserts:
    """Asks the server."""
    info = client.server_info()[TABLE]
    worker = info.table_worker_time
    return Inserts(
        completed=info.rate_limiter_info.insert_stats.completed,
        size=info.current_size,
        worker_busy_ms=worker.running_ms + worker.sampling_ms + worker.inserting_ms,
    )


def learner(pipe: Connection, variables: Sequence[np.ndarray]) -> None:
    """Hands out these variables as a learner does, and never learns; sends its port."""
    server = courier.Server()
    server.Bind("get_variables", lambda names: [list(variables) for _ in names])
    server.Start()
    pipe.send(("port", server.port))
    processes.wait_for_end(pipe)


def cache(pipe: Connection, learner_port: int, update_seconds: float) -> None:
    """Serves a cacher of that learner; sends its port."""
    source = courier.Client(f"localhost:{learner_port}")
    variables = variable_cache.VariableCache(source, update_seconds=update_seconds)
    with variable_cacher.CacherServer(variables) as served:
        pipe.send(("port", served.port))
        processes.wait_for_end(pipe)


def coordinator(pipe: Connection, directory: str) -> None:
    """Counts and hears how nodes are, as a program's does; sends its port."""
    counter, register = loop_hooks.PersistentCounter(directory), heartbeat.Register()
    server = courier.Server()
    server.Bind("increment", counter.increment)
    server.Bind("beat", register.beat)
    server.Start()
    pipe.send(("port", server.port))
    processes.wait_for_end(pipe)


class Program(NamedTuple):
    """A program without actors."""

    nodes: list[processes.Node]  # replay, learner and cacher
    replay_port: int
    cacher_port: int


def start_program(
    start: Callable[..., processes.Node],
    agent: str,
    seed: int,
    replay_size: int,
    variables: Sequence[np.ndarray],
    update_seconds: float = 1.0,
) -> Program:
    """Starts its nodes with `start` of `processes.running`; they serve when it returns.

    Args:
      start: starts a node.
      agent: whose replay tables.
      seed: of the agent's weights.
      replay_size: sequences that replay holds.
      variables: that the learner hands out.
      update_seconds: between the cacher's fetches from the learner.

    Raises:
      processes.Failed: a node failed.
    """
    nodes = [
        start("replay", replay, agent, seed, replay_size),
        start("learner", learner, variables),
    ]
    replay_port, learner_port = (node.receive("port") for node in nodes)
    nodes.append(start("cacher", cache, learner_port, update_seconds))
    return Program(nodes, replay_port, nodes[-1].receive("port"))


def make_variables(agent: str, seed: int) -> list[np.ndarray]:
    """Those of the agent's policy, as its learner hands them out."""
    builder = setup.make_builder(agent, seed)
    networks = builder.make_networks(wrappers.environment_spec(), seed)
    policy = builder.make_policy(networks)
    return [variable.numpy() for variable in policy.learned_variables]


def statistics(port: int) -> dict[str, Any]:
    """Of the cacher on a port."""
    return courier.Client(f"localhost:{port}", call_timeout=30).statistics()
