"""Does the simulation survive random actions?

    python -m benchmarks.random_actions --steps=1000000 --processes=2

Shares the control steps among all tasks and object sets, with randomisation, delay and
every kind of reward. Stops at the first observation or reward that is not finite or is
out of its bounds; counts episodes that diverge, which the environment ends.
"""

from __future__ import annotations

import itertools
import json

import numpy as np
from absl import flags

import environments
from environments import objects, scene
from environments.tasks import REWARDS, TASKS
from launchers.common import cli, workers

_STEPS = flags.DEFINE_integer("steps", 1_000_000, "Control steps in all.")
_PROCESSES = flags.DEFINE_integer("processes", 1, "Processes to share them.")
_PRESET = flags.DEFINE_string(
    "preset", scene.DEFAULT_PRESET, f"Physics: {', '.join(scene.PRESETS)}."
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of episodes and actions.")

# Steps per action in an episode: held actions move the arm much further.
_HELD_STEPS = (1, 10, 50)


def run(
    task: str, object_set: objects.ObjectSet, steps: int, preset: str, seed: int
) -> dict[str, int]:
    """Takes control steps of random actions.

    Returns:
      The numbers of steps, episodes, divergences, and failures of the Cartesian
      controller.

    Raises:
      ValueError: an observation or a reward is not finite or out of bounds.
    """
    environment = environments.make(
        task=task,
        reward=REWARDS[seed % len(REWARDS)],
        object_set=object_set,
        domain_randomization=True,
        max_action_delay=2,
        seed=seed,
        preset=preset,
    )
    specs, reward_spec = environment.observation_spec(), environment.reward_spec()
    rng = np.random.default_rng(seed)
    timestep, episodes = environment.reset(), 1
    for step in range(steps):
        if step % _HELD_STEPS[episodes % len(_HELD_STEPS)] == 0:
            action = rng.uniform(-1, 1, 5)
        timestep = environment.step(action)
        if timestep.first():
            episodes += 1
            continue
        reward_spec.validate(timestep.reward)
        for name, value in timestep.observation.items():
            specs[name].validate(value)
            if not np.isfinite(value).all():
                raise ValueError(f"{name} is not finite: {environment.episode_info()}")
    return {
        "steps": steps,
        "episodes": episodes,
        "divergences": environment.divergences,
        "controller_failures": environment.controller_failures,
    }


def _run(job: tuple[str, objects.ObjectSet, int, str, int]) -> dict[str, int]:
    return run(*job)


def main(argv: list[str]) -> None:
    """Shares the steps and prints the counts."""
    del argv
    sets: list[int | str] = [*scene.OBJECT_SETS, objects.RANDOM]
    pairs = list(itertools.product(TASKS, sets))
    with cli.bad_input():
        for flag in (_STEPS, _PROCESSES):
            if flag.value < 1:
                raise ValueError(f"--{flag.name} is {flag.value}; valid: 1 or more")
        scene.one_of("preset", _PRESET.value, scene.PRESETS)
    share = -(-_STEPS.value // len(pairs))
    jobs = [
        (*pair, share, _PRESET.value, _SEED.value + index)
        for index, pair in enumerate(pairs)
    ]
    title = f"{share} steps of each task and set"
    with workers.Workers(_PROCESSES.value) as pool:
        counts = list(pool.run(_run, jobs, title, unit="pair"))
    total = {key: sum(c[key] for c in counts) for key in counts[0]}
    print(json.dumps(total | {"tasks_and_sets": len(pairs), "preset": _PRESET.value}))


if __name__ == "__main__":
    cli.run(main)
