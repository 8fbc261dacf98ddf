"""Real actors: processes that step the real environment with the real policy."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from concurrent import futures
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import courier
import reverb
import tqdm

from benchmarks.load import actors as light_actors
from benchmarks.load import processes, servers, setup, usage
from benchmarks.load.settings import Inputs, Settings
from environments import wrappers
from launchers.experiments import config

_PROGRESS_SECONDS = 0.5
_TELL_SECONDS = 0.1


class Done(NamedTuple):
    """Counts of one process so far."""

    steps: tuple[int, ...]  # of each actor
    fetches: int


def measure(settings: Settings, inputs: Inputs) -> dict[str, Any]:
    """Measures the control steps per second of all actors on this machine together.

    The clock starts once all of them are in their first episode, with the policy
    compiled; the time of later resets counts.

    Raises:
      processes.Failed: a node failed.
    """
    with processes.running(inputs.logs) as start:
        program = servers.start_program(start, settings, inputs.variables)
        node = settings.agent, settings.seed
        ports = program.replay_port, program.cacher_port
        parts = light_actors.split(
            settings.actors, -(-settings.actors // settings.actors_per_process)
        )
        actors = [
            start(f"actor_{i}", _act, *node, indices, *ports)
            for i, indices in enumerate(parts)
        ]
        for actor in tqdm.tqdm(actors, desc="starting", unit="process"):
            actor.receive("ready")
        client = reverb.Client(f"localhost:{program.replay_port}")
        nodes = [*program.nodes, *actors]
        with usage.Watch({node.name: node.pid for node in nodes}) as watch:
            # The first counts may be from before the last actor was ready.
            done = [_newest(actor, actor.receive("done")) for actor in actors]
            before, inserted = list(done), servers.inserts(client).completed
            begin = time.monotonic()
            with tqdm.tqdm(
                desc=f"{settings.actors} real actors", unit="step", total=None
            ) as bar:
                while (elapsed := time.monotonic() - begin) < settings.seconds:
                    time.sleep(min(_PROGRESS_SECONDS, settings.seconds - elapsed))
                    done = [_newest(*pair) for pair in zip(actors, done, strict=True)]
                    bar.update(sum(_steps_since(before, done)) - bar.n)
            elapsed = time.monotonic() - begin
            inserted = servers.inserts(client).completed - inserted
        connected = usage.connections(program.replay_port)
    each = _steps_since(before, done)
    fetches = sum(
        now.fetches - then.fetches for now, then in zip(done, before, strict=True)
    )
    used = usage.summarise(watch.samples)
    return {
        "actors": settings.actors,
        "actors_per_process": settings.actors_per_process,
        "seconds": elapsed,
        "steps_per_second": sum(each) / elapsed,
        "inserts_per_second": inserted / elapsed,
        "fetches_per_second": fetches / elapsed,
        "replay_connections": connected,
        "nodes": {name: of_node._asdict() for name, of_node in used.items()},
        "settings": dataclasses.asdict(settings),
    }


def _newest(actor: processes.Node, done: Done) -> Done:
    """Returns the newest counts that an actor's process has sent."""
    while (message := actor.poll()) is not None:
        done = message[1]
    return done


def _steps_since(before: Sequence[Done], now: Sequence[Done]) -> list[int]:
    """Returns every actor's steps between two counts."""
    return [
        b - a
        for then, newest in zip(before, now, strict=True)
        for a, b in zip(then.steps, newest.steps, strict=True)
    ]


def _act(
    pipe: Connection,
    agent: str,
    seed: int,
    indices: range,
    replay_port: int,
    cacher_port: int,
) -> None:
    """Runs a node that acts until its parent is gone, and sends its counts.

    As in a program's actor node, each actor has a thread, and policy calls are batched.
    """
    setup.one_thread()
    builder = setup.make_builder(agent, seed)
    policy = builder.make_policy(
        builder.make_networks(wrappers.environment_spec(), seed)
    )
    source = light_actors.TimedSource(
        courier.Client(f"localhost:{cacher_port}"), light_actors.Measurements()
    )
    client = reverb.Client(f"localhost:{replay_port}")
    actors = builder.make_actors(
        policy,
        config.derive_seed(seed, "actor", indices[0]),
        [builder.make_adder(client) for _ in indices],
        source,
    )
    steps = [0] * len(indices)

    def act(row: int) -> None:
        environment = setup.make_environment(
            config.derive_seed(seed, "environment", indices[row])
        )
        actor = actors[row]
        while True:
            timestep = environment.reset()
            actor.observe_first(timestep)
            while not timestep.last():
                action = actor.select_action(timestep.observation)
                timestep = environment.step(action)
                actor.observe(action, timestep)
                actor.update()
                steps[row] += 1

    pool = futures.ThreadPoolExecutor(len(indices))  # threads end with the process
    acting = [pool.submit(act, row) for row in range(len(indices))]
    ready = False
    while not pipe.poll(_TELL_SECONDS):
        for failed in (actor for actor in acting if actor.done()):
            failed.result()
        if not ready and all(steps):  # All have compiled.
            ready = True
            pipe.send(("ready", None))
        pipe.send(("done", Done(tuple(steps), source.fetches)))
