"""What does an actor cost besides the environment that it steps?

    python -m benchmarks.actor [--agent=helms_mix] [--environments=8] [--episodes=3]

Measures actors that share a process, then a single one (the figures that end in
`_one`). They run episodes as a node of a distributed program does, with
`--actors_per_process`: a thread for each environment, the policy and the frozen levels
in one compiled call for all, variables fetched from a source, every step written to a
real Reverb server. All run on one core, the server too.

Every 20 steps, when all actors wait for their decisions, a bare environment for each
takes the same steps, from the same seeds: both see the same load of the machine.
`ratio` uses the process's CPU time, so that other processes do not count;
`ratio_clock` uses the clock.
"""

from __future__ import annotations

import collections
import json
import os
import time
from collections.abc import Sequence
from typing import Any

import dm_env
import numpy as np
import reverb
import tensorflow as tf
from absl import flags
from acme import EnvironmentLoop, core, specs, wrappers
from acme.utils import loggers

import environments
from agents.registry import AGENTS
from benchmarks.common import untrained
from environments import scene
from launchers.common import cli
from launchers.experiments import config, loop_hooks

_AGENT = flags.DEFINE_string("agent", "helms_mix", f"Agent: {', '.join(AGENTS)}.")
_ENVIRONMENTS = flags.DEFINE_integer(
    "environments", 8, "Actors that share a process.", lower_bound=1
)
_EPISODES = flags.DEFINE_integer(
    "episodes", 3, "Episodes of each environment.", lower_bound=1
)
_EPISODES_ONE = flags.DEFINE_integer(
    "episodes_one", 10, "Episodes of the actor alone; 0 leaves it out.", lower_bound=0
)
_PHYSICS = flags.DEFINE_string(
    "physics", "", "Settings over the default preset's: timestep=0.001,impratio=10"
)
_SEED = flags.DEFINE_integer("seed", 0, "Of episodes and weights.", lower_bound=0)


_EVERY = 20  # steps between two turns of the bare environments


class _Recorded(wrappers.EnvironmentWrapper):
    """Environment as agents see it, which records its actions and CPU time."""

    def __init__(self, environment: dm_env.Environment):
        super().__init__(environment)
        self.actions: list[np.ndarray] = []
        self.seconds = 0.0

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode and its record."""
        self.actions.clear()
        return self._timed(super().reset)

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Takes a step and records the action."""
        self.actions.append(np.array(action))
        return self._timed(super().step, action)

    def _timed(self, function: Any, *args: Any) -> dm_env.TimeStep:
        begin = time.thread_time()
        timestep = function(*args)
        self.seconds += time.thread_time() - begin
        return timestep


class _TimedActor:
    """Actor that sums the CPU time of its calls in this thread by name."""

    def __init__(self, actor: Any):
        self._actor = actor
        self.seconds: collections.Counter[str] = collections.Counter()

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._actor, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.thread_time()
            result = function(*args, **kwargs)
            # Values are floats; typeshed's Counter allows integers only.
            self.seconds[name] += time.thread_time() - begin  # type: ignore[assignment]
            return result

        return timed


class _Bare:
    """Bare environments that take the recorded steps while no actor runs."""

    def __init__(self, environments_: list[Any], recorded: list[_Recorded]):
        self._environments = environments_
        self._recorded = recorded
        self._done = 0  # steps of this episode
        self._calls = 0
        self.clocks = np.zeros(2)  # clock and CPU [s]
        self.steps = 0

    def reset(self, seeds: list[int]) -> None:
        """Starts the episodes."""
        begin = _clocks()
        for environment, seed in zip(self._environments, seeds, strict=True):
            environment.seed_episode(seed)
            environment.reset()
        self.clocks += _clocks() - begin
        self._done = self._calls = 0

    def before_call(self) -> None:
        """Catches up every `_EVERY` steps."""
        if self._calls % _EVERY == 0:
            self.catch_up()
        self._calls += 1

    def catch_up(self) -> None:
        """Takes the steps that the actors have taken since the last call."""
        begin = _clocks()
        for environment, recorded in zip(
            self._environments, self._recorded, strict=True
        ):
            for action in recorded.actions[self._done :]:
                environment.step(action)
                self.steps += 1
        self._done = len(self._recorded[0].actions)
        self.clocks += _clocks() - begin


class _Source(core.VariableSource):
    """Learner that does not learn and always sends the same variables."""

    def __init__(self, variables: list[np.ndarray]):
        self._variables = variables

    def get_variables(self, names: Sequence[str]) -> list[list[np.ndarray]]:
        """Returns the policy's variables, whatever the names."""
        return [[np.array(x) for x in self._variables] for _ in names]


def measure(
    agent: str, num_environments: int, rounds: int, seed: int, physics: str = ""
) -> dict[str, float]:
    """Runs actors and bare environments in turns, an episode each in every round.

    `physics` overrides settings of the preset, as the flag does.

    Returns:
      Control steps per second of both, resets included, their ratio, and the
      microseconds of CPU of a step and of its parts that are measured.
    """
    preset = scene.PRESETS[scene.DEFAULT_PRESET].override(physics)

    def make(grouped: bool = False) -> dm_env.Environment:
        return environments.make(
            domain_randomization=True,
            max_action_delay=2,
            seed=seed,
            preset=preset,
            grouped=grouped,
        )

    recorded = [_Recorded(make(grouped=True)) for _ in range(num_environments)]
    bare = _Bare([make() for _ in recorded], recorded)
    spec = specs.make_environment_spec(recorded[0])
    agent_type = AGENTS[agent]
    builder = agent_type.builder(
        agent_type.config_type(), untrained.frozen(agent_type.model, seed)
    )
    server = reverb.Server(builder.make_replay_tables(spec, limit_rate=False))
    client = reverb.Client(f"localhost:{server.port}")
    policy = builder.make_policy(builder.make_networks(spec, seed))
    actors = builder.make_actors(
        policy,
        seed,
        [builder.make_adder(client) for _ in recorded],
        _Source([v.numpy() for v in policy.learned_variables]),
    )
    # Private names, because only there all actors are known to wait.
    runner, decide = actors[0]._runner, actors[0]._runner._run

    def decide_in_turn() -> None:
        bare.before_call()
        decide()

    runner._run = decide_in_turn
    timed = [_TimedActor(actor) for actor in actors]
    loops = [
        EnvironmentLoop(environment, actor, logger=loggers.NoOpLogger())
        for environment, actor in zip(recorded, timed, strict=True)
    ]
    acting_clocks = np.zeros(2)
    for round_ in range(rounds + 1):
        seeds = [
            config.derive_seed(seed, "benchmark", round_, i)
            for i in range(num_environments)
        ]
        for environment, episode_seed in zip(recorded, seeds, strict=True):
            environment.seed_episode(episode_seed)
            environment.actions.clear()
        bare.reset(seeds)
        begin = _clocks() - bare.clocks
        loop_hooks.run_together([loop.run_episode for loop in loops])
        acting_clocks += _clocks() - bare.clocks - begin
        bare.catch_up()
        if not round_:  # the first round compiles
            acting_clocks[:], bare.clocks[:], bare.steps = 0.0, 0.0, 0
            for actor, environment in zip(timed, recorded, strict=True):
                actor.seconds.clear()
                environment.seconds = 0.0
    server.stop()
    steps = bare.steps
    us = 1e6 / steps
    cpu = sum((actor.seconds for actor in timed), collections.Counter())
    ratio_clock, ratio = bare.clocks / acting_clocks
    return {
        "steps_per_second": steps / acting_clocks[0],
        "environment_steps_per_second": steps / bare.clocks[0],
        "ratio": ratio,
        "ratio_clock": ratio_clock,
        "cpu_us": us * acting_clocks[1],
        "cpu_us_bare_environment": us * bare.clocks[1],
        "cpu_us_environment": us * sum(e.seconds for e in recorded),
        "cpu_us_replay": us * (cpu["observe"] + cpu["observe_first"]),
        "environments": num_environments,
        "episodes": rounds * num_environments,
    }


def _clocks() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    with cli.bad_input():
        config.check_agent(_AGENT.value)
        if AGENTS[_AGENT.value].vision_only:
            raise ValueError(f"{_AGENT.value} acts on images; valid: agents on state")
        scene.PRESETS[scene.DEFAULT_PRESET].override(_PHYSICS.value)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    agent, seed, physics = _AGENT.value, _SEED.value, _PHYSICS.value
    result: dict[str, Any] = measure(
        agent, _ENVIRONMENTS.value, _EPISODES.value, seed, physics
    )
    if _EPISODES_ONE.value:
        alone = measure(agent, 1, _EPISODES_ONE.value, seed, physics)
        del alone["environments"]
        result |= {f"{name}_one": value for name, value in alone.items()}
    result |= {"agent": agent, "physics": physics, "cores": os.cpu_count()}
    for name, value in result.items():
        print(f"{name:35s}{value if isinstance(value, str) else round(value, 4)}")
    print(json.dumps(result))


if __name__ == "__main__":
    cli.run(main)
