"""Real actors: processes that step the real environment with the real policy."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import courier
import reverb
import tqdm

from benchmarks.load import actors as light_actors
from benchmarks.load import light, processes, servers, setup, usage
from environments import wrappers
from launchers import experiment

_PROGRESS_SECONDS = 0.5


def measure(settings: light.Settings, inputs: light.Inputs) -> dict[str, Any]:
    """Control steps a second of `settings.actors` actors on this machine, all together.

    The clock runs once all of them are in their first episode, with the policy
    compiled; later resets count as what they are.

    Raises:
      processes.Failed: a node failed.
    """
    node = settings.agent, settings.seed
    with processes.running(inputs.logs) as start:
        program = servers.start_program(
            start,
            *node,
            settings.replay_size,
            inputs.variables,
            settings.update_seconds,
        )
        ports = program.replay_port, program.cacher_port
        actors = [
            start(f"actor_{i}", _act, *node, i, *ports) for i in range(settings.actors)
        ]
        for actor in tqdm.tqdm(actors, desc="starting", unit="actor"):
            actor.receive("ready")
        client = reverb.Client(f"localhost:{program.replay_port}")
        nodes = [*program.nodes, *actors]
        with usage.Watch({made.name: made.pid for made in nodes}) as watch:
            done = [_newest(actor, (0, 0)) for actor in actors]
            before, inserted = list(done), servers.inserts(client).completed
            begin = time.monotonic()
            with tqdm.tqdm(
                desc=f"{len(actors)} real actors", unit="step", total=None
            ) as bar:
                while (elapsed := time.monotonic() - begin) < settings.seconds:
                    time.sleep(min(_PROGRESS_SECONDS, settings.seconds - elapsed))
                    done = [_newest(*pair) for pair in zip(actors, done, strict=True)]
                    bar.update(sum(_since(before, done, 0)) - bar.n)
            elapsed = time.monotonic() - begin
            inserted = servers.inserts(client).completed - inserted
        connected = usage.connections(program.replay_port)
    each = _since(before, done, 0)
    used = usage.summarise(watch.samples)
    return {
        "actors": settings.actors,
        "seconds": elapsed,
        "steps_per_second": sum(each) / elapsed,
        "steps_per_second_of_slowest": min(each) / elapsed,
        "inserts_per_second": inserted / elapsed,
        "fetches_per_second": sum(_since(before, done, 1)) / elapsed,
        "replay_connections": connected,
        "nodes": {name: found._asdict() for name, found in used.items()},
        "settings": dataclasses.asdict(settings),
    }


def _newest(actor: processes.Node, done: tuple[int, int]) -> tuple[int, int]:
    """The steps and fetches that it told last."""
    while (message := actor.poll()) is not None:
        done = message[1]
    return done


def _since(
    before: Sequence[tuple[int, int]], now: Sequence[tuple[int, int]], what: int
) -> list[int]:
    return [b[what] - a[what] for a, b in zip(before, now, strict=True)]


def _act(
    pipe: Connection,
    agent: str,
    seed: int,
    index: int,
    replay_port: int,
    cacher_port: int,
) -> None:
    """A node: acts until its parent is gone; tells its steps and fetches."""
    setup.one_thread()
    builder = setup.make_builder(agent, seed)
    policy = builder.make_policy(
        builder.make_networks(wrappers.environment_spec(), seed)
    )
    source = light_actors.TimedSource(
        courier.Client(f"localhost:{cacher_port}"), light_actors.Measurements()
    )
    actor = builder.make_actor(
        policy,
        experiment.derive_seed(seed, "actor", index),
        builder.make_adder(reverb.Client(f"localhost:{replay_port}")),
        source,
    )
    environment = setup.make_environment(
        experiment.derive_seed(seed, "environment", index)
    )
    steps = 0
    while not pipe.poll():
        timestep = environment.reset()
        actor.observe_first(timestep)
        while not timestep.last() and not pipe.poll():
            action = actor.select_action(timestep.observation)
            timestep = environment.step(action)
            actor.observe(action, timestep)
            actor.update()
            steps += 1
            if steps == 1:  # It has compiled.
                pipe.send(("ready", None))
            pipe.send(("done", (steps, source.fetches)))
