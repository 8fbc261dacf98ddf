"""What does collection cost besides the environment that it steps?

    python -m benchmarks.collection [--processes=N] [--dataset=all_pairs_stacking]

Collects episodes of the expert, and in turns steps the bare environment by the same
actions from the same seeds, for the same physics. First one process does everything, to
show where the time goes; then N processes collect as in `launchers.collect`, against N
that only step. Each process has one core.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
import json
import os
import pathlib
import pickle
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import dm_env
import numpy as np
from absl import flags

from datasets.collection import rollout, worker_pool
from datasets.experts import base
from datasets.rlds import recipes, schema, writer
from environments import EnvironmentConfig
from launchers.common import cli, workers

_DATASET = flags.DEFINE_string(
    "dataset", "red_on_blue_stacking", f"Tasks and sets: {', '.join(recipes.RECIPES)}."
)
_EXPERT = flags.DEFINE_string(
    "expert", "scripted", f"What acts: {', '.join(base.FORMS)}."
)
_PROCESSES = flags.DEFINE_integer(
    "processes", None, "Collecting processes; one a core by default.", lower_bound=1
)
_EPISODES = flags.DEFINE_integer(
    "episodes", 30, "To collect in each of the two parts.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the episodes.", lower_bound=0)

_ROUNDS = 3  # rounds of collecting and stepping over several processes
Actions = tuple[int, np.ndarray]  # index of an episode and its actions [T, D]


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    with cli.bad_input():
        settings = schema.Settings(
            dataset=_DATASET.value,
            environment=EnvironmentConfig.paper(),
            expert=_EXPERT.value,
            episodes=_EPISODES.value,
            seed=_SEED.value,
        )
        tasks = [task for task, _ in settings.combinations]
        make_expert = base.factory(settings.expert, *tasks)
    make_environment = rollout.environment_maker(settings)
    work = worker_pool.Work(settings, make_environment, make_expert)
    processes = _PROCESSES.value or len(os.sched_getaffinity(0))
    with worker_pool.child_surroundings():  # NumPy's threads would hide its cost.
        result = measure_processes(work, processes) | measure_one_process(work)
    for name, value in result.items():
        print(f"{name:44s}{value if isinstance(value, list) else round(value, 4)}")
    print(json.dumps(result))


def measure_one_process(work: worker_pool.Work) -> dict[str, float]:
    """Measures collection and bare steps in this process, an episode of each in turns.

    Returns:
      Control steps per second of both, their ratio, and the microseconds of CPU per
      control step in the environment, in the expert (and in each of its phases, per
      step of that phase), for recording, for the pipe and for writing.
    """
    settings = work.settings
    environment = work.make_environment()
    expert = _TimedExpert(work.make_expert(environment))
    acting = cast(base.Expert, expert)  # which has properties for attributes
    serialize = writer.Serializer(
        schema.features(environment.observation_spec(), environment.action_spec())
    )
    cpu: dict[str, float] = collections.defaultdict(float)
    steps, collecting, stepping = 0, 0.0, 0.0
    records: list[bytes] = []
    with tempfile.TemporaryDirectory() as directory:
        shard = pathlib.Path(directory) / "shard"
        for index in range(settings.episodes):
            start = time.perf_counter()
            with _cpu(cpu, "episode"):
                example = rollout.run_episode(environment, acting, settings, index)
            with _cpu(cpu, "pipe"):
                example = pickle.loads(pickle.dumps(example, pickle.HIGHEST_PROTOCOL))
            with _cpu(cpu, "writing"):
                records.append(serialize(example))
                if len(records) == settings.episodes_per_shard:
                    writer.write_shard(shard, records)
                    records.clear()
            collecting += time.perf_counter() - start
            actions = example["steps"]["action"][:-1]
            start = time.perf_counter()
            with _cpu(cpu, "environment"):
                _step_bare(environment, settings, (index, actions))
            stepping += time.perf_counter() - start
            steps += len(actions)
    cpu["expert"] = sum(expert.seconds.values())
    cpu["recording"] = cpu.pop("episode") - cpu["environment"] - cpu["expert"]
    costs = {f"cpu_us_{name}": 1e6 * cpu[name] / steps for name in sorted(cpu)}
    phases = {
        f"cpu_us_expert_{name}": 1e6 * expert.seconds[name] / expert.steps[name]
        for name in sorted(expert.steps)
    }
    return {
        "one_process_collect_steps_per_second": steps / collecting,
        "one_process_environment_steps_per_second": steps / stepping,
        "one_process_ratio": stepping / collecting,
        **costs,
        **phases,
    }


def measure_processes(work: worker_pool.Work, processes: int) -> dict[str, Any]:
    """Collects over several processes, and steps in as many, in turns.

    Returns:
      Control steps per second and process of both, their ratio over all rounds and by
      round. A process's time runs from the receipt of an episode's number until the
      main process has the episode; writing in the main process counts where it takes
      a worker's core.
    """
    per_round = -(-work.settings.episodes // _ROUNDS)
    indices = itertools.count()
    collecting, stepping, steps = [], [], []
    with workers.Workers(processes, show_progress=False) as pool:
        for _ in range(_ROUNDS):
            chosen = list(itertools.islice(indices, per_round))
            seconds, episodes = _collect(work, processes, chosen)
            collecting.append(seconds)
            jobs = [(work.settings, episode) for episode in episodes]
            stepping.append(sum(pool.run(_step, jobs, "episodes")))
            steps.append(sum(len(actions) for _, actions in episodes))
    ratios = [b / c for b, c in zip(stepping, collecting, strict=True)]
    return {
        "processes": processes,
        "episodes": _ROUNDS * per_round,
        "collect_steps_per_second_per_core": sum(steps) / sum(collecting),
        "environment_steps_per_second_per_core": sum(steps) / sum(stepping),
        "ratio": sum(stepping) / sum(collecting),
        "ratios": [round(ratio, 4) for ratio in ratios],
    }


def _collect(
    work: worker_pool.Work, processes: int, indices: Sequence[int]
) -> tuple[float, list[Actions]]:
    """Collects; returns the seconds of all processes together, and the episodes."""
    handed: dict[int, float] = {}
    taken: list[float] = []
    episodes: list[Actions] = []
    records: list[bytes] = []
    environment = work.make_environment()
    serialize = writer.Serializer(
        schema.features(environment.observation_spec(), environment.action_spec())
    )

    def hand_out() -> Iterator[int]:
        for index in indices:
            handed[index] = time.perf_counter()
            yield index

    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory)

        def on_episode(example: dict[str, Any]) -> bool:
            index = example["episode_metadata"]["episode_index"]
            taken.append(time.perf_counter() - handed[index])
            episodes.append((index, example["steps"]["action"][:-1]))
            records.append(serialize(example))
            if len(records) == work.settings.episodes_per_shard:
                writer.write_shard(path / "shard", records)
                records.clear()
            return len(episodes) == len(indices)

        with worker_pool.Pool(work, processes, path / "logs") as pool:
            failures = pool.run(hand_out(), on_episode)
    if failures:
        raise RuntimeError("; ".join(failures))
    return sum(taken), episodes


@functools.lru_cache(maxsize=1)
def _environment(settings: schema.Settings) -> Any:
    """Returns the environment of a process that only steps, made once."""
    return rollout.environment_maker(settings)()


def _step(job: tuple[schema.Settings, Actions]) -> float:
    """Steps an episode; returns its seconds."""
    settings, episode = job
    environment = _environment(settings)
    start = time.perf_counter()
    _step_bare(environment, settings, episode)
    return time.perf_counter() - start


def _step_bare(environment: Any, settings: schema.Settings, episode: Actions) -> None:
    index, actions = episode
    task, object_set = settings.combination(index)
    environment.seed_episode(settings.episode_seed(index))
    environment.set_task(task)
    environment.set_objects(object_set)
    environment.reset()
    for action in actions:
        environment.step(action)


class _TimedExpert:
    """Expert that measures the CPU time of its steps by phase."""

    def __init__(self, expert: base.Expert) -> None:
        self._expert = expert
        self.PHASES = expert.PHASES
        self.seconds: dict[str, float] = collections.defaultdict(float)
        self.steps: collections.Counter[str] = collections.Counter()

    @property
    def phase(self) -> int:
        return self._expert.phase

    @property
    def intended(self) -> np.ndarray:
        return self._expert.intended

    def reset(self, seed: int) -> None:
        with _cpu(self.seconds, "reset"):
            self._expert.reset(seed)
        self.steps["reset"] += 1

    def step(self, timestep: dm_env.TimeStep) -> np.ndarray:
        start = time.thread_time()
        action = self._expert.step(timestep)
        seconds = time.thread_time() - start
        name = self.PHASES[self.phase] if self.phase >= 0 else "none"
        self.seconds[name] += seconds
        self.steps[name] += 1
        return action


@contextlib.contextmanager
def _cpu(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.thread_time()
    yield
    seconds[name] += time.thread_time() - start


if __name__ == "__main__":
    cli.run(main)
