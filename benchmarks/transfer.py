"""Do skills help RL? HeLMS against its baselines at equal environment steps.

    python -m benchmarks.transfer --skills=HELMS,BC,NPMP --seeds=3 --steps=60000

Every run is `launchers.train_agent` in one process, --jobs of them at a time, each on a
core of its own; all agents have the settings of --scale, by default laptop: the paper's
are for 1500 actors. Returns are those of the episodes
that the agents act and learn in, so nothing is spent on evaluations.

Each run ends as a CSV of episodes, AGENT_SEED.csv in --out. Runs that are there are not
made again, unfinished ones go on, and more --steps continue them. The figure and the
last line's JSON are of all runs. With --draw nothing is run.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping

import numpy as np
import tqdm
from absl import flags

from agents import bundles, scales
from agents.rl_agents import AGENTS
from benchmarks import curves, training
from launchers import command, experiment, files, run_logs

_SKILLS = flags.DEFINE_list("skills", [], "Directories of the bundles, one a model.")
_AGENT_NAMES = flags.DEFINE_list(
    "agents",
    ["helms_cat", "helms_mix", "mpo", "bc", "npmp"],
    f"Of {', '.join(AGENTS)}.",
)
_SEEDS = flags.DEFINE_integer("seeds", 3, "Runs of each agent.", lower_bound=1)
_STEPS = flags.DEFINE_integer(
    "steps", 60_000, "Environment steps a run.", lower_bound=1000
)
_TASK = flags.DEFINE_string("task", "stack_red_blue", "Task of the environment.")
_REWARD = flags.DEFINE_string(
    "reward", "staged_sparse", "Reward: dense, staged_sparse or sparse."
)
_OBJECT_SET = command.define_object_set()
_SCALE = flags.DEFINE_string(
    "scale", "laptop", f"Settings of the agents: {' or '.join(scales.SCALES)}."
)
_SKILL_STEPS = flags.DEFINE_integer(
    "skill_steps", None, "Of the agents that hold skills; see train_agent."
)
_SKILL_PRIOR = flags.DEFINE_string(
    "skill_prior", None, "Of helms_cat and helms_mix; see train_agent."
)
_JOBS = flags.DEFINE_integer(
    "jobs", None, "Runs at a time; one a core by default.", lower_bound=1
)
_OUT = flags.DEFINE_string("out", "runs/transfer", "Directory of the results.")
_DRAW = flags.DEFINE_bool("draw", False, "Only draw and print what is there.")

_POLL_SECONDS = 2.0


def _bundles() -> dict[str, str]:
    """The directories by model; raises ValueError for two of one model."""
    found: dict[str, str] = {}
    for path in _SKILLS.value:
        model = bundles.load(path).description["model"]
        if model in found:
            raise ValueError(f"{found[model]} and {path} are both of model {model}")
        found[model] = path
    return found


def _start(
    agent: str, seed: int, paths: Mapping[str, str], core: int
) -> subprocess.Popen:
    model = AGENTS[agent].model
    own = {field.name for field in dataclasses.fields(AGENTS[agent].config_type)}
    skill = {"skill_steps": _SKILL_STEPS.value, "skill_prior": _SKILL_PRIOR.value}
    return training.start(
        pathlib.Path(_OUT.value) / "runs" / f"{agent}_{seed}.log",
        core,
        agent=agent,
        workdir=_workdir(agent, seed),
        task=_TASK.value,
        reward=_REWARD.value,
        object_set=_OBJECT_SET.value,
        seed=seed,
        max_actor_steps=_STEPS.value,
        eval_episodes=0,
        # An agent that needs no model gets observation statistics: the same for all.
        skills=paths[model] if model else paths.get("helms"),
        scale=_SCALE.value,
        **{name: value for name, value in skill.items() if name in own},
    )


def _workdir(agent: str, seed: int) -> pathlib.Path:
    return pathlib.Path(_OUT.value) / "runs" / f"{agent}_{seed}"


def _csv(agent: str, seed: int) -> pathlib.Path:
    return pathlib.Path(_OUT.value) / f"{agent}_{seed}.csv"


def _complete(agent: str, seed: int) -> bool:
    """Whether a run has come as far as is asked; one that has not is continued."""
    path = _csv(agent, seed)
    return path.exists() and curves.read(path)[-1, 0] >= _STEPS.value


def _keep(agent: str, seed: int) -> None:
    """Writes the episodes of a run that has ended."""
    rows = (
        (int(row["actor_steps"]), round(row["episode_return"], 4), int(row["success"]))
        for row in run_logs.actor_rows(str(_workdir(agent, seed)))
    )
    names = ("actor_steps", "episode_return", "success")
    files.write_csv(_csv(agent, seed), names, rows)


def _run_all(paths: Mapping[str, str]) -> None:
    """Runs what is not there yet; raises RuntimeError if a run fails."""
    waiting = collections.deque(
        (agent, seed)
        for seed in range(_SEEDS.value)  # agents advance together
        for agent in _AGENT_NAMES.value
        if not _complete(agent, seed)
    )
    cores = sorted(os.sched_getaffinity(0))
    jobs = _JOBS.value or len(cores)
    free = collections.deque(cores[i % len(cores)] for i in range(jobs))
    running: dict[tuple[str, int], tuple[subprocess.Popen, int]] = {}
    total = _STEPS.value * len(waiting)
    bar = tqdm.tqdm(total=total, unit="step", desc="environment steps")
    try:
        while waiting or running:
            while waiting and free:
                key, core = waiting.popleft(), free.popleft()
                running[key] = _start(*key, paths, core), core
            time.sleep(_POLL_SECONDS)
            for key, (process, core) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[key]
                free.append(core)
                if process.returncode:
                    raise RuntimeError(
                        f"{key[0]} of seed {key[1]} ended with {process.returncode}; "
                        f"see {_OUT.value}/runs/{key[0]}_{key[1]}.log"
                    )
                _keep(*key)
            _show(bar)
    finally:
        bar.close()
        for process, _ in running.values():
            process.send_signal(signal.SIGTERM)  # each saves a checkpoint
        for process, _ in running.values():
            process.wait()


def _show(bar: tqdm.tqdm) -> None:
    """Steps of the runs that this call makes."""
    done = 0
    for path in (pathlib.Path(_OUT.value) / "runs").glob("*/"):
        rows = run_logs.actor_rows(str(path))
        done += int(rows[-1]["actor_steps"]) if rows else 0
    bar.update(min(done, bar.total) - bar.n)


def _results() -> tuple[dict[str, list[np.ndarray]], dict[str, list[np.ndarray]]]:
    """Curves of return and of success of the runs that are there."""
    returns, successes = {}, {}
    for agent in _AGENT_NAMES.value:
        for seed in range(_SEEDS.value):
            if not _csv(agent, seed).exists():
                continue
            rows = curves.read(_csv(agent, seed))
            returns.setdefault(agent, []).append(rows[:, [0, 1]])
            successes.setdefault(agent, []).append(rows[:, [0, 2]])
    return returns, successes


def main(argv: list[str]) -> None:
    """Runs, draws and prints."""
    del argv
    with command.bad_input():
        for agent in _AGENT_NAMES.value:
            experiment.check_agent(agent)
        scales.check_scale(_SCALE.value)
        paths = _bundles()
        if not _DRAW.value:
            for agent in _AGENT_NAMES.value:
                model = AGENTS[agent].model
                if model is not None and model not in paths:
                    raise ValueError(
                        f"agent {agent} needs a bundle of {model} in --skills"
                    )
            pathlib.Path(_OUT.value).mkdir(parents=True, exist_ok=True)
    if not _DRAW.value:
        try:
            _run_all(paths)
        except RuntimeError as e:
            print(f"error: {e}", file=sys.stderr)
            raise SystemExit(1) from None
    returns, successes = _results()
    steps = _STEPS.value
    title = f"{_TASK.value}, set {_OBJECT_SET.value}, {_REWARD.value}"
    curves.draw(pathlib.Path(_OUT.value) / "transfer.png", returns, steps, title)
    result = {
        "task": _TASK.value,
        "reward": _REWARD.value,
        "object_set": _OBJECT_SET.value,
        "steps": steps,
        **curves.summary(returns, steps),
        "success": curves.summary(successes, steps),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    command.run(main)
