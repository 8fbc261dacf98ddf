"""Plan of a figure: its finished parts, the commands left, and their duration."""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import pathlib
import shlex
from collections.abc import Mapping, Sequence

from agents.offline import bundle as bundles
from datasets.rlds import files
from launchers.common import side_by_side
from launchers.reproduction import estimates, figures, fitting
from launchers.reproduction.figures import Figure
from launchers.reproduction.runs import Run

# Ours: the paper does not give its own.
_EPISODES = {
    "laptop": {"red_on_blue_stacking": 500, "all_pairs_stacking": 1000},
    "paper": {"red_on_blue_stacking": 10_000, "all_pairs_stacking": 30_000},
}
_TRAINING: Mapping[str, Mapping[str, object]] = {
    "laptop": {
        "batch_size": 32,
        "learning_rate": 5e-4,
        "eval_batches": 40,
        "steps": 8000,
    },
    "paper": {"steps": 200_000},
}
# Without it some seeds of so few steps lose skills: docs/reports/skills.md.
_BALANCE = {"laptop": {"balance": 0.5}, "paper": {}}
_TABLE_EPISODES = {"laptop": 200, "paper": 1000}  # the paper: 1000
_ACTORS = 1500  # the paper's


@dataclasses.dataclass(frozen=True)
class Step:
    """Command of a plan.

    Attributes:
      title: what it does, in a few words.
      module: module of the command.
      settings: its flags by name.
      result: file that is there once it is done.
      seconds: about how long it takes with all cores on the reference machine.
    """

    title: str
    module: str
    settings: Mapping[str, object]
    result: pathlib.Path
    seconds: float

    def command(self) -> list[str]:
        """Returns the command, which resumes where an earlier one stopped."""
        return side_by_side.command(self.module, self.settings)

    def is_done(self) -> bool:
        """Returns whether the step's result exists."""
        return self.result.exists()


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a reproduction.

    Attributes:
      scale: one of `figures.SCALES`.
      out: directory of all figures; data sets and bundles are in it, too.
      seeds: runs of each arm, of the seeds 0, 1 and so on.
      steps: environment steps of a run; None: the figure's.
      jobs: runs at a time on this machine; None: one per core, one program at a time at
        scale paper.
      launch: launch of train_agent.
      num_actors: actors of a distributed launch.
      dataset: directory of a data set to take; None makes one where it is needed.
      skills: directories of bundles to take; others are pretrained or made.
      only: patterns (`fnmatch`) of the runs to make, PANEL/ARM_SEED; with any, no
        skills are analysed; empty: all.
    """

    scale: str
    out: pathlib.Path
    seeds: int = 3
    steps: int | None = None
    jobs: int | None = None
    launch: str = "single_process"
    num_actors: int = _ACTORS
    dataset: str | None = None
    skills: Sequence[str] = ()
    only: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for an unknown scale."""
        if self.scale not in figures.SCALES:
            raise ValueError(
                f"unknown scale {self.scale!r}; valid: {', '.join(figures.SCALES)}"
            )

    def chooses(self, run: Run) -> bool:
        """Returns whether a run is one to make."""
        return not self.only or any(_matches(run, pattern) for pattern in self.only)


class Plan:
    """Plan of one figure.

    Attributes:
      figure: the figure.
      root: directory of its results.
      before: commands that make data sets and bundles, in order.
      runs: runs of RL, by seed.
      incomplete: those to make that were not complete when the plan was made.
      after: commands that analyse skills.
      paths: directory of each bundle by its name in `figures.BUNDLES`.
    """

    def __init__(self, name: str, options: Options):
        """Finds the finished parts and starts nothing.

        Raises:
          ValueError: in one line, which figure, bundle or data set does not fit.
        """
        self.figure, self.name = figures.find(name), name
        self._options = options
        self.root = options.out / (
            name if name.startswith("table") else f"figure_{name}"
        )
        self.before: list[Step] = []
        self.paths: dict[str, str] = {}
        self._data: dict[str, str] = {}
        of_figure = self.figure.bundles(options.scale)
        self._take(of_figure)
        for bundle in of_figure:
            self.paths.setdefault(bundle, self._path(bundle))
        self.runs = _runs(self.figure, self.root, options, self.paths)
        chosen = [run for run in self.runs if options.chooses(run)]
        missing = [run for run in self.runs if not run.is_complete()]
        self._num_done = len(self.runs) - len(missing)
        self.incomplete = [run for run in missing if run in chosen]
        analysed = () if options.only else self.figure.analysed
        used = {run.settings["skills"] for run in chosen}
        used |= {self.paths[name] for name in analysed}
        self._needed = [name for name in of_figure if self.paths[name] in used]
        for bundle in self._needed:
            self._provide(bundle, chosen)
        self.after = [self._analysis()] if analysed else []

    def steps(self) -> list[Step]:
        """Returns the commands besides the runs that are not done."""
        return [step for step in (*self.before, *self.after) if not step.is_done()]

    def seconds(self, speed: float = 1.0) -> float:
        """Returns about how long the rest takes at scale laptop on this machine.

        Args:
          speed: speed of this machine; see `estimates.measure_speed`.
        """
        steps = sum(step.seconds for step in self.steps())
        left = sum(
            estimates.run_seconds(run, run.steps - run.steps_taken())
            for run in self.incomplete
        )
        return (steps + left / self._jobs()) / speed

    def describe(self) -> str:
        """Returns lines that list the finished and the missing parts."""
        lines = [f"{self.name}: {self.figure.title}"]
        for step in (*self.before, *self.after):
            state = "done" if step.is_done() else "to do"
            lines.append(f"  {state}: {step.title}")
        for name in self._needed:
            if pathlib.Path(self.paths[name]).exists():
                lines.append(f"  there: {name} at {self.paths[name]}")
        if self.runs:
            lines.append(
                f"  {len(self.runs)} runs of {self.runs[0].steps:,} environment steps "
                f"({len(self.figure.panels)} panels, "
                f"{len(self.figure.arms_at(self._options.scale))} arms, "
                f"{self._options.seeds} seeds), {self._num_done} of them done"
                + (f", {len(self.incomplete)} to make" if self._options.only else "")
            )
        return "\n".join(lines)

    def commands(self) -> list[str]:
        """Returns the shell lines of all that is not done, in order.

        They start what `python` names, on whatever machine they run.
        """
        steps = [step for step in self.before if not step.is_done()]
        after = [step for step in self.after if not step.is_done()]
        parts: tuple[Step | Run, ...] = (*steps, *self.incomplete, *after)
        return [shlex.join(["python", *part.command()[1:]]) for part in parts]

    def _jobs(self) -> int:
        return self._options.jobs or len(os.sched_getaffinity(0))

    def _take(self, needed: Sequence[str]) -> None:
        """Notes the bundles and the data set that the user gives."""
        scale = self._options.scale
        for path in self._options.skills:
            description = bundles.read_description(path)
            names = [
                name
                for name in needed
                if fitting.fits(description, figures.BUNDLES[name], scale)
            ]
            if not names:
                wanted = ", ".join(
                    fitting.describe(figures.BUNDLES[n], scale) for n in needed
                )
                raise ValueError(
                    f"{self.name} takes no bundle like {path}; it takes {wanted}"
                )
            self.paths |= dict.fromkeys(names, path)
        data = self._options.dataset
        if data is not None:
            datasets = {figures.BUNDLES[name].dataset for name in needed}
            recipe = fitting.recipe_of(data)
            if recipe is None or recipe not in datasets:
                raise ValueError(
                    f"the data set at {data} is {recipe or 'of none of the paper'}; "
                    f"{self.name} needs {' or '.join(sorted(datasets)) or 'none'}"
                )
            self._data[recipe] = data

    def _path(self, name: str) -> str:
        """Returns where a bundle is that the user does not give, or will be made."""
        spec, scale = figures.BUNDLES[name], self._options.scale
        if scale == "laptop" and spec.pretrained:
            description = bundles.read_description(spec.pretrained)
            if fitting.fits(description, spec, scale):
                return spec.pretrained
        return str(self._workdir(name) / "skills")

    def _workdir(self, name: str) -> pathlib.Path:
        return self._options.out / "bundles" / name

    def _provide(self, name: str, runs: Sequence[Run]) -> None:
        """Adds the commands that make what is missing of a bundle for these runs."""
        spec, scale = figures.BUNDLES[name], self._options.scale
        path, workdir = self.paths[name], self._workdir(name)
        if path == str(workdir / "skills"):
            data = self._dataset(spec.dataset)
            balance = _BALANCE[scale] if spec.model == "helms" else {}
            order = spec.order(scale)
            ordered = {} if order == "color" else {"object_order": order}
            settings = {**_TRAINING[scale], **balance, **spec.of(scale), **ordered}
            self.before.append(
                Step(
                    f"learn {name}: {fitting.describe(spec, scale)}",
                    "launchers.train_skills",
                    {
                        "dataset": data,
                        "model": spec.model,
                        **settings,
                        "workdir": workdir,
                    },
                    workdir / "skills",
                    estimates.training_seconds(spec.model),
                )
            )
        high_level = pathlib.Path(path) / bundles.HIGH_LEVEL
        distilled = any(
            run.settings["skills"] == path
            and run.settings.get("high_level") == "distilled"
            for run in runs
        )
        if distilled and not high_level.exists():
            self.before.append(
                Step(
                    f"distil the high level of {name}",
                    "launchers.analyse_skills",
                    {
                        "skills": path,
                        "dataset": self._dataset(spec.dataset),
                        "out": workdir / "distillation",
                        "ceiling_episodes": 10,
                        "skill_steps": 5,
                        "episodes": 1,
                        "steps": 1,
                        "table1_episodes": 0,
                    },
                    high_level,
                    estimates.DISTILLATION_SECONDS,
                )
            )

    def _dataset(self, recipe: str) -> str:
        """Returns the directory of a data set, and adds the command that makes it."""
        if recipe not in self._data:
            out = self._options.out / "data" / recipe
            episodes = _EPISODES[self._options.scale][recipe]
            self._data[recipe] = str(out)
            self.before.append(
                Step(
                    f"collect {recipe}, {episodes:,} episodes",
                    "launchers.collect",
                    {"dataset": recipe, "episodes": episodes, "out": out},
                    out / files.DATASET_INFO,
                    estimates.collection_seconds(episodes),
                )
            )
        return self._data[recipe]

    def _analysis(self) -> Step:
        first, *others = (self.paths[name] for name in self.figure.analysed)
        table = self.name == "table1"
        episodes = _TABLE_EPISODES[self._options.scale] if table else 0
        rollouts: dict[str, object] = {"episodes": 1, "steps": 1} if table else {}
        count = episodes * (len(self.figure.analysed) + 3) if table else 5 * 20
        return Step(
            "analyse the skills",
            "launchers.analyse_skills",
            {
                "skills": first,
                "bundles": ",".join(others),
                "out": self.root,
                "table1_episodes": episodes,
                **rollouts,
            },
            self.root / "report.html",
            estimates.rollout_seconds(count),
        )


def check_only(only: Sequence[str], runs: Sequence[Run]) -> None:
    """Raises ValueError for a pattern of `Options.only` that no run matches."""
    for pattern in only:
        if not any(_matches(run, pattern) for run in runs):
            panels = ", ".join(dict.fromkeys(run.panel for run in runs))
            arms = ", ".join(dict.fromkeys(run.arm for run in runs))
            raise ValueError(
                f"--only={pattern} is no run PANEL/ARM_SEED; panels: {panels or 'none'}"
                f"; arms: {arms or 'none'}"
            )


def _matches(run: Run, pattern: str) -> bool:
    return fnmatch.fnmatchcase(str(run), pattern)


def _runs(
    figure: Figure, root: pathlib.Path, options: Options, paths: Mapping[str, str]
) -> list[Run]:
    scale = options.scale
    distributed: dict[str, object] = {}
    if options.launch != "single_process":
        distributed = {"launch": options.launch, "num_actors": options.num_actors}
    runs = []
    for seed in range(options.seeds):
        for panel in figure.panels:
            for arm in figure.arms_at(scale):
                # An agent without a model gets the same observation statistics.
                skills = paths[arm.bundle] if arm.bundle else _statistics(paths)
                settings = {
                    "agent": arm.agent,
                    "skills": skills,
                    "scale": scale,
                    "eval_episodes": 0,
                    "task": "stack_red_blue",
                    **panel.settings,
                    **arm.settings,
                    **distributed,
                }
                steps = options.steps or figure.steps[scale]
                runs.append(Run(root, panel.name, arm.name, seed, steps, settings))
    return runs


def _statistics(paths: Mapping[str, str]) -> str | None:
    """Returns a bundle whose statistics normalise observations."""
    return next((path for name, path in paths.items() if "helms" in name), None)
