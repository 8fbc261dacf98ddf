"""An actor and its learner in one process, for benchmarks of small tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dm_env
import reverb
from acme import EnvironmentLoop, core, specs
from acme.utils import loggers

from agents.builder import AgentBuilder
from launchers.experiments import loop_hooks


def learning(
    actor: core.Actor, learner: core.Learner, due: Callable[[int], int]
) -> core.Actor:
    """Wraps an actor so that each of its steps is followed by the learner steps due.

    `due` maps environment steps to the learner steps due after them.
    """
    acted = learned = 0

    def learn() -> None:
        nonlocal acted, learned
        acted += 1
        while learned < due(acted):
            learner.step()
            learned += 1

    return loop_hooks.Hooked(actor, learn)


def make(
    builder: AgentBuilder, spec: specs.EnvironmentSpec, seed: int
) -> tuple[reverb.Server, core.Actor]:
    """Makes the replay of a builder's agent, and its actor, which learns."""
    server = reverb.Server(builder.make_replay_tables(spec, limit_rate=False))
    client = reverb.Client(f"localhost:{server.port}")
    networks = builder.make_networks(spec, seed)
    learner = builder.make_learner(networks, builder.make_dataset_iterator(client))
    policy = builder.make_policy(networks)
    actor = builder.make_actor(policy, seed, builder.make_adder(client))
    return server, learning(actor, learner, builder.learner_steps_due)


def episodes(
    environment: dm_env.Environment, actor: core.Actor, steps: int
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Acts for at least `steps`, to the end of an episode.

    Yields:
      After every episode the steps so far, and its `episode_return` and `success`.
    """
    loop = EnvironmentLoop(
        environment,
        actor,
        logger=loggers.NoOpLogger(),
        observers=[loop_hooks.SuccessObserver()],
    )
    done = 0
    while done < steps:
        result = loop.run_episode()
        done += result["episode_length"]
        yield done, result
