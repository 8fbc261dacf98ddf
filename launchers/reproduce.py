"""Reproduces a figure or table of the paper, from data to picture, by one command.

python -m launchers.reproduce --figure=4 --scale=laptop --plan
python -m launchers.reproduce --figure=4 --scale=laptop --seeds=3

It says what it will run and about how long that takes, then makes the data set and the
bundles of skills that are missing (pretrained ones are taken where they fit), runs RL,
and writes OUT/figure_N/figure.png, summary.json and a CSV of episodes for each run. The
same command resumes. --scale=paper has the paper's settings and 1500 actors, for
--launch=local_mp or ray, or --launch=slurm, which writes a script of jobs.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from absl import flags

from launchers.common import atomic_files, cli, curves, signals
from launchers.experiments import config as experiment_config
from launchers.reproduction import estimates, figures, page, runs, slurm
from launchers.reproduction.plan import Options, Plan, Step, check_only

_FIGURE = flags.DEFINE_list(
    "figure", None, f"Figures: {', '.join(figures.FIGURES)}; or all.", required=True
)
_SCALE = flags.DEFINE_string("scale", "laptop", f"{' or '.join(figures.SCALES)}.")
_OUT = flags.DEFINE_string("out", "runs/reproduction", "Directory of all figures.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Runs of each arm.", lower_bound=1)
_STEPS = flags.DEFINE_integer(
    "steps", None, "Environment steps a run, in place of the figure's.", lower_bound=1
)
_JOBS = flags.DEFINE_integer(
    "jobs", None, "Runs at a time; one a core by default.", lower_bound=1
)
_LAUNCH = flags.DEFINE_string(
    "launch",
    None,
    "single_process, the default of laptop; local_mp, the default of paper; ray; or "
    "slurm, which runs nothing and writes OUT/figure_N/slurm.sh.",
)
_NUM_ACTORS = flags.DEFINE_integer(
    "num_actors", 1500, "Actors of a distributed launch.", lower_bound=1
)
_DATASET = flags.DEFINE_string("dataset", None, "Data set to take; it must fit.")
_SKILLS = flags.DEFINE_list("skills", [], "Bundles to take; each must fit.")
_ONLY = flags.DEFINE_list(
    "only",
    [],
    "Runs to make, PANEL/ARM_SEED, with wildcards: 'set_1_*/helms_*,*/bc_0'. The "
    "figure has all finished runs; so machines can share its runs.",
)
_PLAN = flags.DEFINE_bool("plan", False, "Say what is to be run, and stop.")
_DRAW = flags.DEFINE_bool("draw", False, "Draw the finished runs and start none.")
_PAGE = flags.DEFINE_string(
    "page", None, "Markdown file to write from the results of the figures."
)


def _options() -> Options:
    scale, launch = _SCALE.value, _LAUNCH.value
    if launch is None:
        launch = "local_mp" if scale == "paper" else "single_process"
    if launch == "slurm":
        launch = "local_mp" if scale == "paper" else "single_process"
    experiment_config.check_launch(launch)
    distributed = launch != "single_process"
    return Options(
        scale=scale,
        out=pathlib.Path(_OUT.value),
        seeds=_SEEDS.value,
        steps=_STEPS.value,
        # A distributed run has all cores.
        jobs=1 if distributed else _JOBS.value,
        launch=launch,
        num_actors=_NUM_ACTORS.value,
        dataset=_DATASET.value,
        skills=_SKILLS.value,
        only=_ONLY.value,
    )


def _execute(plan: Plan, options: Options) -> None:
    """Runs all of a plan that is not done."""
    begin = time.time()
    try:
        for step in plan.before:
            _run_step(step)
        if plan.incomplete:
            runs.run_all(
                plan.incomplete, options.jobs, options.launch == "single_process"
            )
        for step in plan.after:
            _run_step(step)
    finally:
        path = plan.root / "seconds.json"
        if plan.root.exists():
            before = atomic_files.read_json(path)["seconds"] if path.exists() else 0
            spent = round(before + time.time() - begin)
            atomic_files.write_json(path, {"seconds": spent})


def _run_step(step: Step) -> None:
    if step.is_done():
        return
    print(f"{step.title}:", flush=True)
    code = subprocess.run(step.command(), check=False).returncode
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise RuntimeError(f"{step.title} ended with {code}")


def _draw(plan: Plan, options: Options) -> dict[str, Any]:
    """Draws a figure of RL as far as there are results, and returns them."""
    summary: dict[str, Any] = {"figure": plan.name, "scale": options.scale}
    seconds = plan.root / "seconds.json"
    if seconds.exists():
        summary |= atomic_files.read_json(seconds)
    if not plan.runs:
        return summary
    titles = {panel.name: panel.title for panel in plan.figure.panels}
    results = {
        panel: found for panel, found in runs.results(plan.runs).items() if found[1]
    }
    if not results:
        return summary
    steps = plan.runs[0].steps
    curves.draw_panels(
        plan.root / "figure.png",
        [
            curves.Panel(returns, steps, titles[panel], show_runs=True)
            for panel, (returns, _) in results.items()
        ],
    )
    for panel, (_, entries) in results.items():
        print(runs.describe(titles[panel], entries))
    summary |= {"steps": steps, "panels": {p: e for p, (_, e) in results.items()}}
    atomic_files.write_json(plan.root / "summary.json", summary)
    return summary


def main(argv: Sequence[str]) -> None:
    """Plans, runs and draws."""
    del argv
    with cli.bad_input():
        names = list(figures.FIGURES) if _FIGURE.value == ["all"] else _FIGURE.value
        options = _options()
        plans = [Plan(name, options) for name in names]
        check_only(options.only, [run for plan in plans for run in plan.runs])
        if _PAGE.value:
            page.read(pathlib.Path(_PAGE.value))
    for plan in plans:
        print(plan.describe())
    if not _DRAW.value:
        if options.scale == "laptop":
            speed = estimates.measure_speed()
            left = sum(plan.seconds(speed) for plan in plans)
            words = estimates.describe(left) if left else "nothing"
            print(f"left to run: about {words} on {_cores(options)}", flush=True)
        if _PLAN.value:
            print("\n".join(line for plan in plans for line in plan.commands()))
            return
        if _LAUNCH.value == "slurm":
            _write_jobs(plans)
            return
        try:
            with signals.handled(lambda number: sys.exit(128 + number)):
                for plan in plans:
                    _execute(plan, options)
        except RuntimeError as e:
            print(f"error: {e}", file=sys.stderr)
            raise SystemExit(1) from None
    summaries = {plan.name: _draw(plan, options) for plan in plans}
    if _PAGE.value:
        page.write(pathlib.Path(_PAGE.value), plans)
    print(json.dumps(summaries if len(plans) > 1 else summaries[plans[0].name]))


def _cores(options: Options) -> str:
    jobs = options.jobs or len(os.sched_getaffinity(0))
    return f"{jobs} core{'s' if jobs > 1 else ''}"


def _write_jobs(plans: Sequence[Plan]) -> None:
    """Writes a script of sbatch for the runs of each plan."""
    for plan in plans:
        waiting = [step for step in plan.before if not step.is_done()]
        if waiting:
            print(f"run first: --figure={plan.name} --plan has {len(waiting)} commands")
        lines = [line for line in plan.commands() if "train_agent" in line]
        if lines:
            path = plan.root / "slurm.sh"
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_files.write_text(path, slurm.script(lines))
            print(f"sbatch {path}")


if __name__ == "__main__":
    cli.run(main)
