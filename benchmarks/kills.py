"""Does a run that is killed repeatedly match one that is not interrupted?

    python -m benchmarks.kills [--agent=helms_cat] [--skills=DIR] [--kills=10]

Runs `launchers.train_agent` in one process twice with the same settings. One run is
killed with SIGKILL at random moments, also while it starts and while it saves, and
restarted. Prints the counters of both, and the mean returns of their last fifth with
95 % intervals over its episodes.
"""

from __future__ import annotations

import json
import pathlib
import signal
import subprocess
import time
from typing import Any

import numpy as np
import tqdm
from absl import flags

from agents.registry import AGENTS
from benchmarks.common import training, untrained
from launchers.common import atomic_files, cli, intervals, loggers
from launchers.experiments import config

_AGENT = flags.DEFINE_string("agent", "helms_cat", f"Agent: {', '.join(AGENTS)}.")
_SKILLS = flags.DEFINE_string(
    "skills", None, "Bundle that the agent builds on; none: an untrained one."
)
_KILLS = flags.DEFINE_integer("kills", 10, "How often.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 8000, "Environment steps.", lower_bound=400)
_REWARD = flags.DEFINE_string(
    "reward", "dense", "Reward: dense, staged_sparse or sparse."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the runs and of the moments.")
_OUT = flags.DEFINE_string("out", "runs/kills", "Directory of the runs.")

_SETTINGS: dict[str, Any] = {
    "batch_size": 32,
    "samples_per_insert": 4,
    "min_replay_size": 100,
    "critic_rnn_size": 0,
    "checkpoint_minutes": 0.1,
    "eval_episodes": 0,
}


def _start(out: pathlib.Path, name: str, skills: str | None) -> subprocess.Popen:
    return training.start(
        out / f"{name}.log",
        agent=_AGENT.value,
        workdir=out / name,
        reward=_REWARD.value,
        max_actor_steps=_STEPS.value,
        seed=_SEED.value,
        skills=skills,
        **_SETTINGS,
    )


def _finish(process: subprocess.Popen, out: pathlib.Path) -> None:
    if process.wait():
        raise RuntimeError(f"a run ended with {process.returncode}; see {out}")


def result(workdir: pathlib.Path) -> dict[str, float]:
    """Returns a run's counters, and the mean return of its last fifth with interval."""
    counts = atomic_files.read_json(workdir / "counts.json")
    returns = [row["episode_return"] for row in loggers.actor_rows(str(workdir))]
    last = returns[-max(1, len(returns) // 5) :]
    names = ("actor_steps", "actor_episodes", "learner_steps")
    return {
        **{name: counts.get(name, 0) for name in names},
        "episodes_logged": len(returns),
        "return": float(np.mean(last)),
        "return_interval": intervals.normal_half_width(last),
    }


def main(argv: list[str]) -> None:
    """Runs, kills and prints."""
    del argv
    out, skills = pathlib.Path(_OUT.value), _SKILLS.value
    with cli.bad_input():
        config.check_agent(_AGENT.value)
        if out.exists() and any(out.iterdir()):
            raise ValueError(f"{out} is not empty; give another --out")
        out.mkdir(parents=True, exist_ok=True)
        model = AGENTS[_AGENT.value].model
        if skills is None and model is not None:
            skills = str(out / "skills")
            untrained.save(model, _SEED.value, skills)
    begin = time.monotonic()
    _finish(_start(out, "through", skills), out)
    seconds = time.monotonic() - begin
    rng = np.random.default_rng(_SEED.value)
    for _ in tqdm.tqdm(range(_KILLS.value), unit="kill"):
        process = _start(out, "killed", skills)
        # From the middle of the run's start to a third of its length.
        time.sleep(rng.uniform(3.0, max(10.0, seconds / 3)))
        process.send_signal(signal.SIGKILL)
        process.wait()
    _finish(_start(out, "killed", skills), out)
    runs = {name: result(out / name) for name in ("through", "killed")}
    same = all(
        runs["through"][key] == runs["killed"][key]
        for key in ("actor_steps", "actor_episodes", "learner_steps", "episodes_logged")
    )
    print(json.dumps({"same_counters": same, "kills": _KILLS.value, **runs}))


if __name__ == "__main__":
    cli.run(main)
