"""The ceiling of a HeLMS bundle: success of its distilled high level.

What RL over frozen skills can reach at once where it uses them as the data do; the
number by which settings of the offline model are chosen.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tqdm

from agents.helms.skills import Skills
from agents.helms_cat import distillation
from agents.helms_cat.distillation import Distillation, DistillationConfig
from datasets import loader, recipes
from launchers import evaluation, files, skill_record
from launchers.analysis import exploration, intervals
from launchers.analysis.config import check_skill_steps
from launchers.analysis.exploration import Agent, Job, Setting
from launchers.analysis.report import Section
from launchers.analysis.result import Result

_TABLE = "ceiling"
_CHOICES = ("greedy", "sampled")


@dataclasses.dataclass(frozen=True)
class CeilingConfig:
    """How the ceiling is measured.

    Attributes:
      setting: the environment of all episodes, and their seed.
      episodes: of each way to act.
      skill_steps: control steps that skills are held, a way to act each.
      sample_latent: whether z is drawn from the mid level, or its mean.
      distillation: of the high level.
    """

    setting: Setting
    episodes: int = 100
    skill_steps: tuple[int, ...] = (1, 5, 10)
    sample_latent: bool = False
    distillation: DistillationConfig = dataclasses.field(
        default_factory=DistillationConfig
    )

    def __post_init__(self):
        """Raises ValueError for a value that is not valid."""
        if self.episodes < 1:
            raise ValueError(f"episodes is {self.episodes}; valid: from 1")
        check_skill_steps(self.skill_steps)


def check_dataset(dataset: str) -> None:
    """Raises ValueError for a data set that a high level without a task cannot fit."""
    loader.load(dataset)
    recipe = loader.manifest(dataset).get("settings", {}).get("dataset")
    tasks = {task for task, _ in recipes.RECIPES.get(recipe, ())}
    if len(tasks) > 1:
        raise ValueError(
            f"data set {dataset} has {len(tasks)} tasks, and the distilled high level "
            "does not see which; give a data set of one task"
        )


def distil(
    skills: Skills,
    dataset: str,
    config: DistillationConfig,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Distils the high level into the bundle, unless it has that of these settings.

    Returns:
      What the bundle says of it: the settings, and on held-out windows `agreement`,
      `cross_entropy` and `posterior_entropy`.

    Raises:
      ValueError: the data set cannot be used.
      FloatingPointError: the cross-entropy is not finite; nothing is written.
    """
    settings = {
        **dataclasses.asdict(config),
        "data": skill_record.fingerprint(loader.manifest(dataset)),
    }
    found = distillation.read_description(skills)
    if found is not None and found.get("settings") == settings:
        return found

    def windows(split: str) -> Iterable[dict]:
        return loader.windows(
            dataset,
            split=split,
            batch_size=config.batch_size,
            window=skills.config.window,
            look_ahead=skills.look_ahead,
            seed=config.seed,
        )

    made = Distillation(skills, config)
    batches = itertools.islice(windows("train"), config.steps)
    with tqdm.tqdm(
        batches,
        total=config.steps,
        desc="distillation",
        unit="step",
        disable=not show_progress,
    ) as bar:
        for batch in bar:
            loss = made.step(batch)
            bar.set_postfix(cross_entropy=f"{loss:.3f}", refresh=False)
    metrics = made.evaluate(windows("held_out"))
    said = {"settings": settings, **metrics}
    distillation.save(skills, made.high_level, said)
    return said


def check(out: pathlib.Path, setting: Setting) -> None:
    """Raises ValueError if `out` holds episodes of another setting."""
    exploration.check(out, setting, {}, _TABLE)


def agents(bundle: str, config: CeilingConfig) -> list[Agent]:
    """Every way to act, in the order of the table."""
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
    """Runs the episodes that `out` does not hold yet; keeps the rows in the bundle too.

    Args:
      out: directory of the episodes and of `ceiling.csv`.
      bundle: directory of the skills, with a distilled high level.
      skills: of that bundle.
      config: see `CeilingConfig`.
      run_jobs: `exploration.run` of many jobs, in any order.

    Returns:
      A row for each way to act: `high_level` (greedy or sampled), `skill_steps`,
      `episodes`, `success` with its 95 % Wilson interval `low`, `high`, and the
      staged-sparse `return` with its bootstrap interval `return_low`, `return_high`.

    Raises:
      ValueError: `out` holds episodes of another setting or high level.
    """
    ways = agents(bundle, config)
    said = distillation.read_description(skills)
    checksums = {way.name: "" if said is None else said["checksum"] for way in ways}
    exploration.check(out, config.setting, checksums, _TABLE)
    exploration.record(out, config.setting, checksums, _TABLE)
    results = exploration.collect(
        out, config.setting, ways, config.episodes, run_jobs, _TABLE
    )
    rows = [row(way, results[way.name], config.setting.seed) for way in ways]
    files.write_csv(out / "ceiling.csv", list(rows[0]), (r.values() for r in rows))
    latent = "sampled" if config.sample_latent else "mean"
    setting = dataclasses.asdict(config.setting)
    distillation.describe(
        skills, ceiling={"setting": setting, "latent": latent, "rows": rows}
    )
    return rows


def row(way: Agent, metrics: dict, seed: int) -> dict[str, Any]:
    """The row of one way to act from metric -> [episodes]; `seed` of the bootstrap."""
    successes = metrics["success"]
    low, high = evaluation.wilson_interval(int(successes.sum()), len(successes))
    returns = intervals.mean(metrics["staged_sparse"], seed)
    return {
        "high_level": way.model.split("_")[1],
        "skill_steps": way.skill_steps,
        "episodes": len(successes),
        "success": float(successes.mean()),
        "low": low,
        "high": high,
        "return": returns.value,
        "return_low": returns.low,
        "return_high": returns.high,
    }


def table(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """The rows as cells, their heading first."""
    cells = [["high level", "steps a skill is held", "success, %", "return"]]
    for r in rows:
        low, high = 100 * r["low"], 100 * r["high"]
        cells.append(
            [
                r["high_level"],
                str(r["skill_steps"]),
                f"{100 * r['success']:.0f} [{low:.0f}, {high:.0f}]",
                f"{r['return']:.1f} [{r['return_low']:.1f}, {r['return_high']:.1f}]",
            ]
        )
    return cells


def agreement_line(said: dict[str, Any]) -> str:
    """How near the distilled high level is to the posterior, in one sentence."""
    return (
        f"On held-out windows the distilled high level agrees with the posterior at "
        f"{100 * said['agreement']:.0f} % of the steps; its cross-entropy is "
        f"{said['cross_entropy']:.3f} nats, {said['posterior_entropy']:.3f} at least."
    )


def show(
    said: dict[str, Any], rows: Sequence[dict[str, Any]], config: CeilingConfig
) -> Result:
    """The section of the report."""
    result = Result(Section("The ceiling of the skills"))
    setting, latent = config.setting, "a draw" if config.sample_latent else "the mean"
    randomized = "with" if setting.domain_randomization else "without"
    result.section.text(
        "A categorical high level of RL's sizes, without look-ahead, distilled from "
        f"the posterior. {config.episodes} episodes each of {setting.task}, object set "
        f"{setting.object_set}, {randomized} domain randomisation, action delays of 0 "
        f"to {setting.max_action_delay} steps; z is {latent} of the mid level at every "
        "step, the action the low level's mean."
    )
    result.section.text(agreement_line(said))
    result.section.table(table(rows))
    result.section.note(
        "Success at the end of an episode with its 95 % Wilson interval; the sum of "
        "the staged-sparse reward, of at most 400, with its bootstrap interval."
    )
    keys = ("agreement", "cross_entropy", "posterior_entropy")
    result.numbers = {**{key: said[key] for key in keys}, "rows": list(rows)}
    return result
