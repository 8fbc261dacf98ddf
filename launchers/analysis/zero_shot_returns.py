"""Returns of agents at the start of RL, in an environment from elsewhere.

Table 1 measures what the Sawyer cell's state tells. Of another environment only the
return is known, and success where it tells. Finished episodes are kept as table 1's.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from acme import specs

import environments
from agents.offline.frozen import FrozenModel, check_fits
from environments import EnvironmentConfig
from environments.agent_view import AgentView
from launchers.analysis import exploration, zero_shot_agents
from launchers.analysis.exploration import Agent, Job, Setting
from launchers.analysis.result import Result
from launchers.common import html_report, intervals
from launchers.experiments.config import derive_seed
from launchers.experiments.episodes import episode_success
from launchers.inspection.report import table as text_table

TABLE = "returns"
METRICS = ("return", "success")


def check_environment(
    config: EnvironmentConfig, bundles: Iterable[FrozenModel]
) -> None:
    """Makes the environment once and checks that the bundles fit it.

    Raises:
      ValueError: in one line, what does not fit.
    """
    environment = _build(config)
    try:
        spec = specs.make_environment_spec(environment)
        for frozen in bundles:
            check_fits(spec, frozen)
    finally:
        environment.close()


def run(job: Job) -> dict[str, float | int | str]:
    """Runs an episode; caches the environment and compiled agents in the process.

    Returns:
      A row: `agent`, `episode`, `seed`, `steps`, the sum of rewards `return`, and
      `success`, which is NaN where the environment does not tell.
    """
    environment = _environment(job.setting.environment)
    actor = exploration.make_actor(job.agent)
    seed = derive_seed(job.setting.seed, TABLE, job.episode)
    environment.seed_episode(seed)
    timestep = environment.reset()
    actor.begin(derive_seed(job.setting.seed, f"{TABLE}_agent", job.episode))
    total, steps = 0.0, 0
    while not timestep.last():
        timestep = environment.step(actor.act(timestep.observation))
        total += float(timestep.reward)
        steps += 1
    success = episode_success(environment)
    return {
        "agent": job.agent.name,
        "episode": job.episode,
        "seed": seed,
        "steps": steps,
        "return": total,
        "success": float("nan") if success is None else float(success),
    }


def measure(
    out: pathlib.Path,
    setting: Setting,
    agents: Sequence[Agent],
    checksums: dict[str, str],
    episodes: int,
    run_jobs: Callable[[Iterable[Job]], Iterable[dict]],
) -> Result:
    """Runs the episodes missing in `out` and shows the returns of all.

    Args:
      out: directory of the results.
      setting: setting of all episodes.
      agents: agents in the order of the table.
      checksums: checksums of their bundles, by the agents' names.
      episodes: number of episodes per agent.
      run_jobs: maps `run` over jobs, in any order.
    """
    exploration.record(out, setting, checksums, TABLE)
    found = exploration.collect(
        out, setting, agents, episodes, run_jobs, TABLE, METRICS
    )
    rows = {name: _row(metrics, setting.seed) for name, metrics in found.items()}
    head, cells = ["agent", "return", "success, %"], []
    for name, row in rows.items():
        value, low, high = row["return"]
        text = f"{value:.1f} [{low:.1f}, {high:.1f}]"
        cells.append([zero_shot_agents.title(name), text, _percent(row["success"])])
    result = Result(html_report.Section("Zero-shot returns"))
    result.section.text(
        f"{episodes} episodes of {setting.environment.environment} of each agent at "
        "the start of RL. All agents have the same seeds. What RL would start from "
        "scratch is drawn anew for each episode: HeLMS's high level, and the whole of "
        "the fresh MPO policy."
    )
    result.section.table([head, *cells])
    result.section.note(
        "Means over episodes of the sum of rewards, with 95 % bootstrap intervals; "
        "success with its Wilson interval, – where the environment does not tell it."
    )
    result.numbers = {"episodes": episodes, "level": intervals.LEVEL, "agents": rows}
    result.lines += ["", *text_table(head, cells)]
    return result


def _row(metrics: Mapping[str, np.ndarray], seed: int) -> dict[str, Any]:
    """Returns `return` and `success` as [value, low, high], or None where unknown."""
    known = metrics["success"][np.isfinite(metrics["success"])]
    success = None
    if len(known):
        success = [float(known.mean()), *intervals.wilson(int(known.sum()), len(known))]
    returns = intervals.bootstrap_mean(metrics["return"], seed)
    return {"return": list(returns), "success": success}


def _percent(success: Sequence[float] | None) -> str:
    if success is None:
        return "–"
    value, low, high = (f"{100 * v:.0f}" for v in success)
    return f"{value} [{low}, {high}]"


@functools.lru_cache(maxsize=1)
def _environment(config: EnvironmentConfig) -> AgentView:
    return _build(config)


def _build(config: EnvironmentConfig) -> AgentView:
    return environments.build(dataclasses.replace(config, grouped=True), seed=0)
