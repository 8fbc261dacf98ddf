"""Files of a comparison: figures, tables of numbers, and one page that has them all."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from launchers.common import atomic_files, curves, figures, html_report
from launchers.comparison import results
from launchers.comparison import runs as comparison_runs
from launchers.comparison.runs import Group
from launchers.experiments import record

PAGE = "comparison.html"
_NUMBERS, _GROUPS, _CURVES = "comparison.json", "groups.csv", "curves.csv"
_DPI = 150


def compare(directories: Sequence[str], out: str) -> dict[str, dict[str, Any]]:
    """Compares runs, and writes what the comparison shows.

    Args:
      directories: work directories of train_agent, or of train_agent --seeds.
      out: directory to write into: `comparison.html`, which opens offline and holds
        all; its figures (`return.png`, `success.png`, `final.png`); the numbers
        (`comparison.json`, `groups.csv`, `curves.csv`). Each is renamed when complete.

    Returns:
      `results.summarise` of each group, by its label.

    Raises:
      ValueError: in one line, what is no run, or why `out` cannot be.
    """
    groups = comparison_runs.group(comparison_runs.read(directories))
    root = pathlib.Path(out)
    if (root / record.CONFIG).exists():
        raise ValueError(f"{root} is the workdir of a run; give another --out")
    root.mkdir(parents=True, exist_ok=True)
    summaries = {group.label: results.summarise(group) for group in groups}
    values = ["return"]
    if results.says_success(groups):
        values.append("success")
    panels = {
        value: [results.panel(groups, axis, value) for axis in results.AXES]
        for value in values
    }
    for value, pair in panels.items():
        curves.draw_panels(root / f"{value}.png", pair)
    _draw_final(root / "final.png", summaries, values)
    _write_numbers(root, groups, summaries, panels)
    html_report.write(
        root / PAGE,
        title=f"Comparison of {len(groups)} groups of runs",
        subtitle="Runs of a group differ in the seed only. Intervals are of 95 %.",
        sections=[
            _final_section(root, summaries),
            _curves_section(root, values),
            _settings_section(groups),
            _runs_section(groups),
        ],
    )
    return summaries


def lines(summaries: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Formats the final results for a terminal."""
    for label, summary in summaries.items():
        cells = [f"return {_value(summary['return'])}"]
        if summary["success"] is not None:
            cells.insert(0, f"success {_percent(summary['success'])}")
        seeds = f"{len(summary['seeds'])} seeds" if summary["seeds"][1:] else "1 seed"
        yield f"{label}: {', '.join(cells)}, {seeds}"


def _value(estimate: Mapping[str, Any]) -> str:
    if estimate["low"] is None:
        return f"{estimate['value']:.2f}"
    return f"{estimate['value']:.2f} ({estimate['low']:.2f} to {estimate['high']:.2f})"


def _percent(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None:
        return "-"
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    return f"{value:.0f} % ({low:.0f} to {high:.0f}) of {estimate['episodes']}"


def _span(values: Sequence[float], form: str) -> str:
    low, high = (form.format(end) for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _draw_final(
    path: pathlib.Path, summaries: Mapping[str, dict[str, Any]], values: Sequence[str]
) -> None:
    """Draws each group's final results with their intervals, and its runs as dots."""
    figure = figures.make(3.0 + 3.0 * len(values), 0.9 + 0.4 * len(summaries))
    panels = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
    for axes, value in zip(panels, values, strict=True):
        for i, summary in enumerate(summaries.values()):
            estimate = summary[value]
            if estimate is None:
                continue
            axes.plot(estimate["runs"], [i] * len(estimate["runs"]), "|", color=f"C{i}")
            axes.plot(estimate["value"], i, "o", color=f"C{i}")
            if estimate["low"] is not None:
                axes.plot([estimate["low"], estimate["high"]], [i, i], color=f"C{i}")
        axes.set_xlabel(f"{value} in the last fifth of the steps")
        axes.set_ylim(len(summaries) - 0.5, -0.5)
    if "success" in values:
        panels[-1].set_xlim(0, 1)
    panels[0].set_yticks(range(len(summaries)), summaries)
    figures.save(path, figure, _DPI)


def _write_numbers(
    root: pathlib.Path,
    groups: Sequence[Group],
    summaries: Mapping[str, dict[str, Any]],
    panels: Mapping[str, Sequence[curves.Panel]],
) -> None:
    content = {
        "differing_settings": comparison_runs.differing([g.settings for g in groups]),
        "groups": {
            group.label: {
                **summaries[group.label],
                "workdirs": [str(run.workdir) for run in group.runs],
                "settings": group.settings,
            }
            for group in groups
        },
    }
    atomic_files.write_json(root / _NUMBERS, content)
    estimates = [
        (label, name, e["value"], e["low"], e["high"])
        for label, summary in summaries.items()
        for name in ("success", "return", "area")
        if (e := summary[name]) is not None
    ]
    columns = ["group", "value", "mean", "low", "high"]
    atomic_files.write_csv(root / _GROUPS, columns, estimates)
    rows = (
        (label, value, panel.x, *point)
        for value, pair in panels.items()
        for panel in pair
        for label in panel.runs
        for point in zip(*panel.mean(label), strict=True)
    )
    columns[2:2] = ["axis", "x"]
    atomic_files.write_csv(root / _CURVES, columns, rows)


def _final_section(
    root: pathlib.Path, summaries: Mapping[str, dict[str, Any]]
) -> html_report.Section:
    section = html_report.Section("Final results")
    section.table(
        [
            ("group", "seeds", "steps", "success", "return", "area"),
            *(
                (
                    label,
                    ",".join(map(str, summary["seeds"])),
                    _span(summary["actor_steps"], "{:,}"),
                    _percent(summary["success"]),
                    _value(summary["return"]),
                    _value(summary["area"]),
                )
                for label, summary in summaries.items()
            ),
        ]
    )
    section.note(
        "Success and return are of the last fifth of each run's own steps, with "
        "exploration as the agent learns; area is the mean return of all its episodes. "
        "Success has the Wilson interval of all runs' episodes, as if they were "
        "independent; return and area have Student's interval over the seeds, none for "
        "one seed."
    )
    for label, summary in summaries.items():
        steps, seeds = summary["actor_steps"], summary["seeds"]
        if min(steps) < 0.9 * max(steps):
            section.note(f"{label}: its runs have different lengths.")
        if len(set(seeds)) < len(seeds):
            section.note(f"{label}: a seed was run more than once.")
    section.picture(root / "final.png", "final results; a tick for each seed")
    return section


def _curves_section(root: pathlib.Path, values: Sequence[str]) -> html_report.Section:
    section = html_report.Section("Learning curves")
    for value in values:
        section.picture(
            root / f"{value}.png",
            f"{value} of an episode by environment steps and by wall time",
        )
    section.note(
        "Thick: mean over seeds with its interval, as far as all runs of the group go. "
        "Thin: each run. Wall time leaves out pauses between the starts of a run."
    )
    return section


def _settings_section(groups: Sequence[Group]) -> html_report.Section:
    section = html_report.Section("Settings that differ")
    different = comparison_runs.differing([group.settings for group in groups])
    if different:
        head = ("setting", *(group.label for group in groups))
        section.table([head, *((name, *row) for name, row in different.items())])
    else:
        section.text("None: there is one group.")
    first = groups[0]
    settings = {
        name: ",".join(map(str, value)) if isinstance(value, list) else value
        for name, value in first.settings.items()
    }
    section.details(f"all settings of {first.label}", settings)
    return section


def _runs_section(groups: Sequence[Group]) -> html_report.Section:
    section = html_report.Section("Runs")
    head = ("group", "workdir", "seed", "steps", "episodes", "hours", "code")
    rows = [
        (
            group.label,
            str(run.workdir),
            str(run.seed),
            f"{int(run.steps.max()):,}",
            f"{len(run.steps):,}",
            f"{run.hours[-1]:.2f}",
            run.code_version,
        )
        for group in groups
        for run in group.runs
    ]
    section.table([head, *rows])
    return section
