"""Do skills help RL? HeLMS against its baselines at equal environment steps.

    python -m benchmarks.transfer --skills=HELMS,BC,NPMP --seeds=3 --steps=60000

The agent helms_cat_distilled is helms_cat whose high level starts as the distilled one
of its bundle (made by `benchmarks.ceiling`); the paper's starts as a new one.

Conditions are the object sets of --object_set with the rewards of --reward: the
paper's figure 4 is `--object_set=1,2,3,5`, its figure 7 `--object_set=4
--reward=dense,staged_sparse,sparse`. Every run is `launchers.train_agent` in one
process, --jobs of them at a time, each on its own core; all agents have the settings of
--scale, by default laptop, because the paper's are for 1500 actors. Returns are those
of the episodes in which the agents act and learn, so no time is spent on evaluations.

Each run ends as a CSV of episodes, CONDITION/AGENT_SEED.csv in --out. Existing runs are
not repeated, unfinished ones resume (SIGINT and SIGTERM save all that are running), and
more --steps continue them. The figure has a panel per condition. The last line is one
JSON object: an entry per agent with `success` and `return` of the last fifth of the
steps and `area`, the mean return of all of them; `low` and `high` have the ends of
their 95 % intervals over the seeds. Where there are several conditions, the entries are
grouped by condition. With --draw nothing is run.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence

from absl import flags

from agents import registry, scales
from agents.registry import AGENTS
from environments import EnvironmentConfig
from launchers.common import cli, curves, signals
from launchers.experiments import config
from launchers.reproduction import runs
from launchers.reproduction.runs import Run

_SKILLS = flags.DEFINE_list("skills", [], "Directories of the bundles, one a model.")
# Names that --agents takes besides agents -> agent, and flags of train_agent.
_VARIANTS = {"helms_cat_distilled": ("helms_cat", {"high_level": "distilled"})}
_AGENT_NAMES = flags.DEFINE_list(
    "agents",
    ["helms_cat", "helms_mix", "mpo", "bc", "npmp"],
    f"Of {', '.join((*AGENTS, *_VARIANTS))}.",
)
_SEEDS = flags.DEFINE_integer("seeds", 3, "Runs of each agent.", lower_bound=1)
_STEPS = flags.DEFINE_integer(
    "steps", 60_000, "Environment steps a run.", lower_bound=1000
)
_TASK = flags.DEFINE_string("task", "stack_red_blue", "Task of the environment.")
_REWARD = flags.DEFINE_list(
    "reward", ["staged_sparse"], "Rewards: dense, staged_sparse or sparse."
)
_OBJECT_SET = flags.DEFINE_list("object_set", ["4"], "Object sets: 1 to 5, or random.")
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


@dataclasses.dataclass(frozen=True)
class _Condition:
    """Condition of runs: an object set and a reward."""

    object_set: str
    reward: str

    def __str__(self) -> str:
        return f"set_{self.object_set}_{self.reward}"

    @property
    def title(self) -> str:
        """The title of its panel."""
        return f"set {self.object_set}, {self.reward.replace('_', '-')}"


def _parts(name: str) -> tuple[str, dict[str, str]]:
    """Returns the agent of a name in --agents, and its flags of train_agent."""
    return _VARIANTS.get(name, (name, {}))


def _conditions() -> list[_Condition]:
    """Returns the conditions of the flags; raises ValueError for an unknown one."""
    conditions = [
        _Condition(object_set, reward)
        for object_set in _OBJECT_SET.value
        for reward in _REWARD.value
    ]
    for condition in conditions:
        number = condition.object_set
        object_set = int(number) if number.isdecimal() else number
        EnvironmentConfig(_TASK.value, condition.reward, object_set)
    return conditions


def _runs(conditions: Sequence[_Condition], paths: Mapping[str, str]) -> list[Run]:
    """Returns all runs, ordered by seed; `paths` are the bundles by model."""
    return [
        Run(
            pathlib.Path(_OUT.value),
            str(condition),
            name,
            seed,
            _STEPS.value,
            _settings(condition, name, paths),
        )
        for seed in range(_SEEDS.value)
        for condition in conditions
        for name in _AGENT_NAMES.value
    ]


def _settings(
    condition: _Condition, name: str, paths: Mapping[str, str]
) -> dict[str, object]:
    """Returns the flags of train_agent of a name in --agents."""
    agent, variant = _parts(name)
    kind = AGENTS[agent]
    own = {field.name for field in dataclasses.fields(kind.config_type)}
    skill = {"skill_steps": _SKILL_STEPS.value, "skill_prior": _SKILL_PRIOR.value}
    return {
        "agent": agent,
        "task": _TASK.value,
        "reward": condition.reward,
        "object_set": condition.object_set,
        "eval_episodes": 0,
        # An agent without a model gets the same observation statistics.
        "skills": paths.get(kind.model or "helms"),
        "scale": _SCALE.value,
        **variant,
        **{name: value for name, value in skill.items() if name in own},
    }


def _bundles() -> dict[str, str]:
    """Returns the directories by model; raises ValueError for two of one model."""
    directories: dict[str, str] = {}
    for path in _SKILLS.value:
        model = registry.load_bundle(path).description["model"]
        if model in directories:
            raise ValueError(
                f"{directories[model]} and {path} are both of model {model}"
            )
        directories[model] = path
    return directories


def main(argv: list[str]) -> None:
    """Runs, draws and prints."""
    del argv
    with cli.bad_input():
        for agent in _AGENT_NAMES.value:
            config.check_agent(_parts(agent)[0])
        scales.check_scale(_SCALE.value)
        conditions, paths = _conditions(), _bundles()
        if not _DRAW.value:
            for agent in _AGENT_NAMES.value:
                model = AGENTS[_parts(agent)[0]].model
                if model is not None and model not in paths:
                    raise ValueError(
                        f"agent {agent} needs a bundle of {model} in --skills"
                    )
    all_runs = _runs(conditions, paths)
    if not _DRAW.value:
        try:
            with signals.handled(lambda number: sys.exit(128 + number)):
                runs.run_all(all_runs, _JOBS.value)
        except RuntimeError as e:
            print(f"error: {e}", file=sys.stderr)
            raise SystemExit(1) from None
    panels, entries = [], {}
    for condition, (returns, entry) in zip(
        conditions, runs.results(all_runs).values(), strict=True
    ):
        panels.append(curves.Panel(returns, _STEPS.value, condition.title))
        entries[str(condition)] = entry
        print(runs.describe(condition.title, entry))
    curves.draw_panels(pathlib.Path(_OUT.value) / "transfer.png", panels)
    only = next(iter(entries.values())) if len(entries) == 1 else entries
    print(json.dumps({"task": _TASK.value, "steps": _STEPS.value, **only}))


if __name__ == "__main__":
    cli.run(main)
