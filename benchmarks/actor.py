"""What does an actor cost beside the environment that it steps?

    python -m benchmarks.actor [--agent=helms_mix] [--episodes=10]

An actor runs episodes as in a distributed program: one thread for TensorFlow, the
policy and the frozen levels in one compiled call, every step written to a real Reverb
server. In turn with it the bare environment steps the same actions from the same seeds.
"""

from __future__ import annotations

import collections
import json
import os
import time
from typing import Any

import dm_env
import numpy as np
import reverb
import tensorflow as tf
from absl import flags
from acme import EnvironmentLoop, specs
from acme.utils import loggers

import environments
from agents.rl_agents import AGENTS
from benchmarks import untrained
from environments import wrappers
from launchers import command, experiment

_AGENT = flags.DEFINE_string("agent", "helms_mix", f"Agent: {', '.join(AGENTS)}.")
_EPISODES = flags.DEFINE_integer(
    "episodes", 10, "Episodes of each of the two.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "Of episodes and weights.", lower_bound=0)


class _Recorded(wrappers.GroupObservations):
    """The environment as agents see it; keeps the actions and its own CPU time."""

    def __init__(self, environment: dm_env.Environment):
        super().__init__(environment)
        self.actions: list[np.ndarray] = []
        self.seconds = 0.0

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode, and its record."""
        self.actions.clear()
        return self._timed(super().reset)

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Steps, and keeps the action."""
        self.actions.append(np.array(action))
        return self._timed(super().step, action)

    def _timed(self, function: Any, *args: Any) -> dm_env.TimeStep:
        begin = time.thread_time()
        timestep = function(*args)
        self.seconds += time.thread_time() - begin
        return timestep


class _TimedActor:
    """An actor whose calls' CPU time in this thread is added up by name."""

    def __init__(self, actor: Any):
        self._actor = actor
        self.seconds: collections.Counter[str] = collections.Counter()

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._actor, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.thread_time()
            result = function(*args, **kwargs)
            self.seconds[name] += time.thread_time() - begin
            return result

        return timed


def measure(agent: str, episodes: int, seed: int) -> dict[str, float]:
    """Runs actor and bare environment in turns, an episode each.

    Returns:
      Control steps a second of both, resets included, their ratio, and the
      microseconds of CPU of a step's parts.
    """
    bare = environments.make(domain_randomization=True, max_action_delay=2, seed=seed)
    environment = _Recorded(bare)
    spec = specs.make_environment_spec(environment)
    made = AGENTS[agent]
    builder = made.builder(made.config_type(), untrained.frozen(made.model, seed))
    server = reverb.Server(builder.make_replay_tables(spec, limit_rate=False))
    client = reverb.Client(f"localhost:{server.port}")
    policy = builder.make_policy(builder.make_networks(spec, seed))
    actor = _TimedActor(builder.make_actor(policy, seed, builder.make_adder(client)))
    loop = EnvironmentLoop(environment, actor, logger=loggers.NoOpLogger())
    steps, acting, stepping = 0, 0.0, 0.0
    for episode in range(episodes + 1):
        episode_seed = experiment.derive_seed(seed, "benchmark", episode)
        bare.seed_episode(episode_seed)
        begin = time.perf_counter()
        loop.run_episode()
        acted = time.perf_counter() - begin
        actions = list(environment.actions)
        bare.seed_episode(episode_seed)
        begin = time.perf_counter()
        bare.reset()
        for action in actions:
            bare.step(action)
        stepped = time.perf_counter() - begin
        if episode:  # the first one compiles
            steps += len(actions)
            acting += acted
            stepping += stepped
        else:
            actor.seconds.clear()
            environment.seconds = 0.0
    server.stop()
    us, cpu = 1e6 / steps, actor.seconds
    return {
        "steps_per_second": steps / acting,
        "environment_steps_per_second": steps / stepping,
        "ratio": stepping / acting,
        "cpu_us_environment": us * environment.seconds,
        "cpu_us_policy": us * cpu["select_action"],
        "cpu_us_replay": us * (cpu["observe"] + cpu["observe_first"]),
        "episodes": episodes,
    }


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    with command.bad_input():
        experiment.check_agent(_AGENT.value)
        if AGENTS[_AGENT.value].asymmetric:
            raise ValueError(f"{_AGENT.value} acts on images; valid: agents on state")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    result = measure(_AGENT.value, _EPISODES.value, _SEED.value) | {
        "agent": _AGENT.value,
        "cores": os.cpu_count(),
    }
    for name, value in result.items():
        print(f"{name:35s}{value if isinstance(value, str) else round(value, 4)}")
    print(json.dumps(result))


if __name__ == "__main__":
    command.run(main)
