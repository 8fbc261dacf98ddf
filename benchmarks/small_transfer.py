"""Do skills help RL on a small, repeatable task? HeLMS against MPO, in minutes.

    python -m benchmarks.small_transfer --seeds=5 --agents=helms_cat,helms_mix,mpo

The task (`benchmarks.two_targets`) is to touch A, then B, on the suite's point mass.
The data come from other tasks: a scripted controller goes to A, to B, to the centre or
to a corner in any order except to B right after A, whatever the observed flag is, and
without rewards. HeLMS learns its skills from them, once for all seeds. Then each agent
learns the task in one process, from scratch or over the skills, with the same number of
learner steps per environment step. MPO has the skills' observation statistics; HeLMS
holds a skill for --skill_steps.

A run ends when it has solved the task: at the first step at which its last 20 episodes,
with exploration, have at least 90 % successes. A run of MPO that has not solved it by
--steps counts as --steps, so that its ratio to HeLMS is a lower bound.

Every run is a CSV of episodes in --out. Existing skills and runs are not repeated, so
the same command resumes. The figure and the last line's JSON cover all runs.
"""

from __future__ import annotations

import json
import pathlib

import numpy as np
from absl import flags

from agents.helms import frozen as helms_skills
from agents.offline import bundle
from benchmarks import small_transfer_runs
from launchers.common import cli

_AGENTS = small_transfer_runs.AGENTS
_SEEDS = flags.DEFINE_integer("seeds", 5, "Runs of each agent.", lower_bound=1)
_STEPS = flags.DEFINE_integer(
    "steps", 150_000, "Environment steps of a run, at most.", lower_bound=1000
)
_AGENT_NAMES = flags.DEFINE_list(
    "agents",
    list(small_transfer_runs.AGENTS),
    f"Of {', '.join(_AGENTS)}.",
)
_SKILL_STEPS = flags.DEFINE_integer(
    "skill_steps", 20, "Control steps that HeLMS holds a skill.", lower_bound=1
)
_EPISODES = flags.DEFINE_integer(
    "episodes", 200, "Episodes of the skills' data.", lower_bound=1
)
_SKILL_TRAINING_STEPS = flags.DEFINE_integer(
    "skill_training_steps", 2000, "Learner steps of the skills.", lower_bound=1
)
_OUT = flags.DEFINE_string("out", "runs/small_transfer", "Directory of the results.")


def main(argv: list[str]) -> None:
    """Trains skills, runs the agents, draws and prints."""
    del argv
    out, steps = pathlib.Path(_OUT.value), _STEPS.value
    with cli.bad_input():
        for agent in _AGENT_NAMES.value:
            if agent not in _AGENTS:
                raise ValueError(
                    f"unknown agent {agent!r}; valid: {', '.join(_AGENTS)}"
                )
        skills = out / "skills"
        if skills.exists():
            helms_skills.load(skills)
    if not skills.exists():
        small_transfer_runs.train_skills(
            skills, _EPISODES.value, _SKILL_TRAINING_STEPS.value
        )
    training = bundle.read_description(skills)["training"]
    print("skills:", *(f"{key} {training[key]}" for key in ("action_mse", "skill_use")))
    runs: dict[str, list[np.ndarray]] = {agent: [] for agent in _AGENT_NAMES.value}
    for seed in range(_SEEDS.value):  # seeds outermost: agents advance together
        for agent, agent_curves in runs.items():
            agent_curves.append(
                small_transfer_runs.run(out, agent, seed, steps, _SKILL_STEPS.value)
            )
    small_transfer_runs.draw(out / "small_transfer.png", runs)
    result = small_transfer_runs.summary(runs, steps)
    for agent, entry in result.items():
        print(agent, *(f"{key} {value}" for key, value in entry.items()), sep="; ")
    print(json.dumps({"steps": steps, "seeds": _SEEDS.value, **result}))


if __name__ == "__main__":
    cli.run(main)
