"""Does an experiment learn equally well by every launch?

    python -m benchmarks.launches [--launches=single_process,local_mp,ray] [--seeds=3]

Trains one agent on one small task, with the same configuration and seeds, as one
process, as processes of this machine and on a private Ray. The distributed programs
have `--num_actors` actors, whose episodes count together. The replay table's limiter
allows as many learner steps per actor step as in one process.

Every run is a CSV of returns in --out. Existing runs are not repeated, so the same
command resumes. The last line's JSON has, for each launch, the mean return of the whole
run and of its last fifth, with 95 % intervals over the seeds.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import pathlib
import shutil

import numpy as np
import tqdm
from absl import flags
from acme import specs

from benchmarks import small_tasks
from launchers.common import atomic_files, cli, curves, loggers
from launchers.experiments import config
from launchers.transfer import training

_LAUNCHES = flags.DEFINE_list(
    "launches",
    ["single_process", "local_mp", "ray"],
    "How: single_process, local_mt, local_mp, test_mt or ray.",
)
_TASK = flags.DEFINE_string(
    "task", "catch", "DOMAIN:TASK of dm_control, catch or two_modes."
)
_AGENT = flags.DEFINE_string(
    "agent", "categorical", f"Agent: {', '.join(small_tasks.AGENTS)}."
)
_SEEDS = flags.DEFINE_integer("seeds", 3, "Runs of each launch.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 20_000, "Actor steps a run.", lower_bound=1000)
_NUM_ACTORS = flags.DEFINE_integer(
    "num_actors", 2, "Actors of the distributed ones.", lower_bound=1
)
_OUT = flags.DEFINE_string("out", "runs/launches", "Directory of the results.")


def make_experiment(
    workdir: pathlib.Path, agent: str, task: str, seed: int, steps: int
) -> config.Experiment:
    """Makes an experiment of an agent on a small task, without evaluations."""
    spec = specs.make_environment_spec(small_tasks.make_grouped(task, seed))
    return config.Experiment(
        workdir=str(workdir),
        builder_factory=functools.partial(small_tasks.make_builder, agent, task, spec),
        environment_factory=functools.partial(small_tasks.make_grouped, task),
        environment_spec=spec,
        seed=seed,
        budget=config.Budget(max_actor_steps=steps, eval_episodes=0),
    )


def _train(experiment: config.Experiment, launch: str, num_actors: int) -> None:
    """Trains, in a new process, where TensorFlow is as a launcher finds it."""
    name = pathlib.Path(experiment.workdir).name
    training.run(
        experiment,
        launch,
        num_actors,
        report=lambda line: tqdm.tqdm.write(f"{name}: {line}"),
    )


def run(out: pathlib.Path, launch: str, seed: int) -> np.ndarray:
    """Returns the rows (actor steps, return) of a run, which is made now or read.

    Raises:
      RuntimeError: the run failed.
    """
    agent, task, steps = _AGENT.value, _TASK.value, _STEPS.value
    name = f"{task.replace(':', '_')}_{agent}_{launch}_{steps}_{seed}"
    path, workdir = out / f"{name}.csv", out / "runs" / name
    if not path.exists():
        shutil.rmtree(workdir, ignore_errors=True)
        process = multiprocessing.get_context("spawn").Process(
            target=_train,
            args=(
                make_experiment(workdir, agent, task, seed, steps),
                launch,
                _NUM_ACTORS.value,
            ),
        )
        process.start()
        process.join()
        if process.exitcode:
            raise RuntimeError(f"{name} ended with {process.exitcode}; see {workdir}")
        rows = (
            (int(row["actor_steps"]), row["episode_return"])
            for row in loggers.actor_rows(str(workdir))
        )
        atomic_files.write_csv(path, ("actor_steps", "return"), rows)
    return curves.read(path)


def main(argv: list[str]) -> None:
    """Trains, draws and prints."""
    del argv
    task, steps, out = _TASK.value, _STEPS.value, pathlib.Path(_OUT.value)
    with cli.bad_input():
        for launch in _LAUNCHES.value:
            config.check_launch(launch)
        if "vertex_ai" in _LAUNCHES.value:
            raise ValueError("vertex_ai ends before its job does, and cannot be drawn")
        if _AGENT.value not in small_tasks.AGENTS:
            raise ValueError(
                f"unknown agent {_AGENT.value!r}; valid: "
                f"{', '.join(small_tasks.AGENTS)}"
            )
        small_tasks.make_environment(task, 0)
        out.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[np.ndarray]] = {launch: [] for launch in _LAUNCHES.value}
    todo = [(launch, seed) for seed in range(_SEEDS.value) for launch in runs]
    for launch, seed in tqdm.tqdm(todo, unit="run"):
        runs[launch].append(run(out, launch, seed))
    curves.draw(out / f"{task.replace(':', '_')}_launches.png", runs, steps, task)
    result = {
        "task": task,
        "agent": _AGENT.value,
        "steps": steps,
        "num_actors": _NUM_ACTORS.value,
        "whole_run": curves.summary(runs, steps, since=0.0),
        "last_fifth": curves.summary(runs, steps),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    cli.run(main)
