"""Servers of the benchmark, each a node; the learner is a stand-in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple

import courier
import numpy as np
import reverb

from agents.mpo.builder import TABLE
from benchmarks.load import processes, setup
from benchmarks.load.settings import Settings
from environments import wrappers
from launchers.distributed import heartbeat, variable_cache, variable_cacher
from launchers.experiments import loop_hooks


class Inserts(NamedTuple):
    """Counts of the replay table since it was made."""

    completed: int  # inserts
    size: int  # items


def replay(pipe: Connection, agent: str, seed: int, replay_size: int) -> None:
    """Serves the agent's table without a rate limiter; sends its port."""
    builder = setup.make_builder(agent, seed, replay_size)
    server = reverb.Server(
        builder.make_replay_tables(wrappers.environment_spec(), limit_rate=False)
    )
    pipe.send(("port", server.port))
    processes.wait_for_end(pipe)


def inserts(client: reverb.Client) -> Inserts:
    """Reads the table's counts from the server."""
    info = client.server_info()[TABLE]
    return Inserts(info.rate_limiter_info.insert_stats.completed, info.current_size)


def learner(pipe: Connection, variables: Sequence[np.ndarray]) -> None:
    """Serves these variables as a learner does, without learning; sends its port."""
    server = courier.Server()
    server.Bind("get_variables", lambda names: [list(variables) for _ in names])
    server.Start()
    pipe.send(("port", server.port))
    processes.wait_for_end(pipe)


def cache(pipe: Connection, learner_port: int, update_seconds: float) -> None:
    """Serves a cacher of the learner on a port; sends its own port."""
    source = courier.Client(f"localhost:{learner_port}")
    variables = variable_cache.VariableCache(source, update_seconds=update_seconds)
    with variable_cacher.CacherServer(variables) as served:
        pipe.send(("port", served.port))
        processes.wait_for_end(pipe)


def coordinator(pipe: Connection, directory: str) -> None:
    """Serves counts and heartbeats, as a program's coordinator does; sends its port."""
    counter, register = loop_hooks.PersistentCounter(directory), heartbeat.Register()
    server = courier.Server()
    server.Bind("increment", counter.increment)
    server.Bind("beat", register.beat)
    server.Start()
    pipe.send(("port", server.port))
    processes.wait_for_end(pipe)


class Program(NamedTuple):
    """Running program without actors."""

    nodes: list[processes.Node]  # replay, learner and cacher
    replay_port: int
    cacher_port: int


def start_program(
    start: Callable[..., processes.Node],
    settings: Settings,
    variables: Sequence[np.ndarray],
) -> Program:
    """Starts replay, learner and cacher, which serve when this returns.

    Args:
      start: starts a node, as `processes.running` yields it.
      settings: agent, size of replay and the cacher's period.
      variables: variables that the learner serves.

    Raises:
      processes.Failed: a node failed.
    """
    agent = settings.agent, settings.seed
    nodes = [
        start("replay", replay, *agent, settings.replay_size),
        start("learner", learner, variables),
    ]
    replay_port, learner_port = (node.receive("port") for node in nodes)
    nodes.append(start("cacher", cache, learner_port, settings.update_seconds))
    return Program(nodes, replay_port, nodes[-1].receive("port"))


def make_variables(agent: str, seed: int) -> list[np.ndarray]:
    """Makes the variables of the agent's policy, as its learner serves them."""
    builder = setup.make_builder(agent, seed)
    networks = builder.make_networks(wrappers.environment_spec(), seed)
    policy = builder.make_policy(networks)
    return [variable.numpy() for variable in policy.learned_variables]
