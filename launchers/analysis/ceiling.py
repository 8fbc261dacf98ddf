"""Ceiling of a HeLMS bundle: the success rate of its distilled high level.

RL over frozen skills reaches this at once where it uses the skills as the data do.
Settings of the offline model are chosen by it.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tqdm

from agents.helms.frozen import Skills
from agents.high_level import distillation
from agents.high_level.distillation import Distillation, DistillationConfig
from datasets import loader
from datasets.rlds import recipes
from datasets.rlds.columns import Columns
from environments import objects
from launchers.analysis import exploration
from launchers.analysis.config import check_skill_steps, describe
from launchers.analysis.exploration import Agent, Job, Setting
from launchers.analysis.result import Result
from launchers.common import atomic_files, intervals
from launchers.common.html_report import Section
from launchers.skills import record

_TABLE = "ceiling"
_CHOICES = ("greedy", "sampled")
# Groups of a row, in the order of a combination -> prefix of their names in tables.
_GROUPS = {"by_task": "", "by_object_set": "set "}


@dataclasses.dataclass(frozen=True)
class CeilingConfig:
    """Configuration of a measurement of the ceiling.

    Attributes:
      setting: environment and seed of all episodes.
      episodes: number of episodes per agent.
      skill_steps: control steps for which a skill is held; one agent for each number.
      sample_latent: whether z is drawn from the mid level instead of its mean.
      distillation: settings of the high level's distillation.
    """

    setting: Setting
    episodes: int = 100
    skill_steps: tuple[int, ...] = (1, 5, 10)
    sample_latent: bool = False
    distillation: DistillationConfig = dataclasses.field(
        default_factory=DistillationConfig
    )

    def __post_init__(self) -> None:
        """Raises ValueError for a value that is not valid."""
        if self.episodes < 1:
            raise ValueError(f"episodes is {self.episodes}; valid: from 1")
        check_skill_steps(self.skill_steps)


def combinations(dataset: str) -> tuple[recipes.Combination, ...] | None:
    """Returns the tasks and object sets of a data set that the high level must observe.

    Returns:
      Each combination once, in the order of the episodes; None where there is only one.

    Raises:
      ValueError: the data set cannot be used, or has several tasks and one of them is
        not a stacking task.
    """
    distinct = tuple(dict.fromkeys(loader.load(dataset).combinations))
    if len(distinct) == 1:
        return None
    for combination in distinct:
        recipes.context(combination)
    # Episodes store "random" as 0.
    return tuple((task, number or objects.RANDOM) for task, number in distinct)


def in_turns(setting: Setting, dataset: str) -> Setting:
    """Adds the data set's tasks and object sets to the setting if it has several."""
    pairs = combinations(dataset)
    if pairs is None:
        return setting
    return dataclasses.replace(setting, combinations=pairs)


def distil(
    skills: Skills,
    dataset: str,
    config: DistillationConfig,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Distils a high level into the bundle, unless it holds one of the same settings.

    Where the data set has several tasks or object sets, the high level observes them.

    Returns:
      The bundle's record of it: the settings, and `agreement`, `cross_entropy` and
      `posterior_entropy` on held-out windows.

    Raises:
      ValueError: the data set cannot be used.
      FloatingPointError: the cross-entropy is not finite; nothing is written.
    """
    settings = {
        **dataclasses.asdict(config),
        "data": record.fingerprint(loader.manifest(dataset)),
    }
    context_size = recipes.CONTEXT_SIZE if combinations(dataset) else 0
    said = {"settings": settings, distillation.CONTEXT_SIZE: context_size}
    description = distillation.read_description(skills)
    if description is not None and said == {
        "settings": description.get("settings"),
        distillation.CONTEXT_SIZE: description.get(distillation.CONTEXT_SIZE, 0),
    }:
        return description

    def windows(split: str) -> Iterator[dict]:
        for batch in loader.windows(
            dataset,
            split=split,
            batch_size=config.batch_size,
            window=skills.config.window,
            look_ahead=skills.look_ahead,
            seed=config.seed,
            context=bool(context_size),
            columns=Columns.of_bundle(skills.description),
        ):
            if context_size:
                objects = batch["objects"]
                batch["objects"] = objects[..., :-context_size]
                batch[distillation.CONTEXT] = objects[..., -context_size:]
            yield batch

    distillation_run = Distillation(skills, config, context_size)
    batches = itertools.islice(windows("train"), config.steps)
    with tqdm.tqdm(
        batches,
        total=config.steps,
        desc="distillation",
        unit="step",
        disable=not show_progress,
    ) as bar:
        for batch in bar:
            loss = distillation_run.step(batch)
            bar.set_postfix(cross_entropy=f"{loss:.3f}", refresh=False)
    said |= distillation_run.evaluate(windows("held_out"))
    distillation.save(skills, distillation_run.high_level, said)
    return said


def check(out: pathlib.Path, setting: Setting) -> None:
    """Raises ValueError if `out` holds episodes of another setting."""
    exploration.check(out, setting, {}, _TABLE)


def agents(bundle: str, config: CeilingConfig) -> list[Agent]:
    """Returns the agents to measure, in the order of the table."""
    suffix = "_drawn" if config.sample_latent else ""
    return [
        Agent(f"distilled_{choice}{suffix}", bundle, steps)
        for choice in _CHOICES
        for steps in config.skill_steps
    ]


def measure(
    out: pathlib.Path,
    bundle: str,
    skills: Skills,
    config: CeilingConfig,
    run_jobs: Callable[[Iterable[Job]], Iterable[dict]],
) -> list[dict[str, Any]]:
    """Runs the episodes missing in `out`; writes the rows into the bundle too.

    Args:
      out: directory of the episodes and of `ceiling.csv`.
      bundle: directory of the skills, with a distilled high level.
      skills: the skills loaded from that bundle.
      config: see `CeilingConfig`.
      run_jobs: maps `exploration.run` over jobs, in any order.

    Returns:
      A row for each agent: `high_level` (greedy or sampled), `skill_steps`,
      `episodes`, `success` with its 95 % Wilson interval `low`, `high`, and the
      staged-sparse `return` with its bootstrap interval `return_low`, `return_high`.
      Where the setting has combinations, also `by_task` and `by_object_set`, each with
      `episodes`, `success`, `low` and `high`.

    Raises:
      ValueError: `out` holds episodes of another setting or high level.
    """
    ways = agents(bundle, config)
    said = distillation.read_description(skills)
    checksums = {agent.name: "" if said is None else said["checksum"] for agent in ways}
    exploration.check(out, config.setting, checksums, _TABLE)
    exploration.record(out, config.setting, checksums, _TABLE)
    results = exploration.collect(
        out, config.setting, ways, config.episodes, run_jobs, _TABLE
    )
    rows = [make_row(agent, results[agent.name], config.setting) for agent in ways]
    columns = [key for key in rows[0] if key not in _GROUPS]
    cells = ([row[column] for column in columns] for row in rows)
    atomic_files.write_csv(out / "ceiling.csv", columns, cells)
    latent = "sampled" if config.sample_latent else "mean"
    setting = config.setting.to_json()
    distillation.describe(
        skills, ceiling={"setting": setting, "latent": latent, "rows": rows}
    )
    return rows


def make_row(agent: Agent, metrics: dict, setting: Setting) -> dict[str, Any]:
    """Makes the row of one agent from metric -> [episodes]; see `measure`."""
    successes = metrics["success"]
    returns = intervals.bootstrap_mean(metrics["staged_sparse"], setting.seed)
    whole = {
        "high_level": agent.model.split("_")[1],
        "skill_steps": agent.skill_steps,
        **_success(successes),
        "return": returns.value,
        "return_low": returns.low,
        "return_high": returns.high,
    }
    if setting.combinations is None:
        return whole
    pairs = [setting.combination(i) for i in range(len(successes))]
    for group, names in zip(_GROUPS, zip(*pairs, strict=True), strict=True):
        labels = np.array([str(name) for name in names])
        whole[group] = {
            str(label): _success(successes[labels == label])
            for label in np.unique(labels)
        }
    return whole


def _success(successes: np.ndarray) -> dict[str, Any]:
    """Returns `episodes`, `success`, and its Wilson `low`, `high`, from flags [N]."""
    low, high = intervals.wilson(int(successes.sum()), len(successes))
    return {
        "episodes": len(successes),
        "success": float(successes.mean()),
        "low": low,
        "high": high,
    }


def tables(rows: Sequence[dict[str, Any]]) -> list[list[list[str]]]:
    """Returns tables of cells, headings first: all rows, then one table per group.

    Groups are the tasks and the object sets, where the setting has combinations.
    """
    ways = [[r["high_level"], str(r["skill_steps"])] for r in rows]
    heading = ["high level", "steps a skill is held"]
    whole = [[*heading, "success, %", "return"]]
    for agent, r in zip(ways, rows, strict=True):
        returns = f"{r['return']:.1f} [{r['return_low']:.1f}, {r['return_high']:.1f}]"
        whole.append([*agent, _cell(r), returns])
    result = [whole]
    for group, title in _GROUPS.items():
        if group in rows[0]:
            names = [f"{title}{name}" for name in rows[0][group]]
            cells = [list(map(_cell, r[group].values())) for r in rows]
            lines = [[*agent, *line] for agent, line in zip(ways, cells, strict=True)]
            result.append([[*heading, *names], *lines])
    return result


def _cell(success: dict[str, Any]) -> str:
    value, low, high = (100 * success[key] for key in ("success", "low", "high"))
    return f"{value:.0f} [{low:.0f}, {high:.0f}]"


def agreement_line(said: dict[str, Any]) -> str:
    """Describes in one sentence how well the high level agrees with the posterior."""
    return (
        f"On held-out windows the distilled high level agrees with the posterior at "
        f"{100 * said['agreement']:.0f} % of the steps; its cross-entropy is "
        f"{said['cross_entropy']:.3f} nats, {said['posterior_entropy']:.3f} at least."
    )


def show(
    said: dict[str, Any], rows: Sequence[dict[str, Any]], config: CeilingConfig
) -> Result:
    """Makes the ceiling's section of the report."""
    result = Result(Section("The ceiling of the skills"))
    setting, latent = config.setting, "a draw" if config.sample_latent else "the mean"
    where = None
    if setting.combinations is not None:
        where = (
            f"the data set's {len(setting.combinations)} tasks and object sets in "
            "turns, which the high level is told"
        )
    result.section.text(
        "A categorical high level of RL's sizes, without look-ahead, distilled from "
        f"the posterior. {config.episodes} episodes each of "
        f"{describe(setting.environment, where)}; z is {latent} of the mid level at "
        "every step, the action the low level's mean."
    )
    result.section.text(agreement_line(said))
    whole, *groups = tables(rows)
    result.section.table(whole)
    result.section.note(
        "Success at the end of an episode with its 95 % Wilson interval; the sum of "
        "the staged-sparse reward, of at most 400, with its bootstrap interval."
    )
    for group in groups:
        result.section.table(group)
    keys = ("agreement", "cross_entropy", "posterior_entropy")
    result.numbers = {**{key: said[key] for key in keys}, "rows": list(rows)}
    return result
