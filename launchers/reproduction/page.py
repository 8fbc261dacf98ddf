"""Page of the reproduced figures: what the paper reports, and what was found here."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from launchers.analysis import exploration_table
from launchers.common import atomic_files
from launchers.reproduction import estimates, figures
from launchers.reproduction.figures import Arm, Figure
from launchers.reproduction.plan import Plan

_PARTS = ("settings", "results")
_PICTURES = ("figure.png", "skill_rollouts.png", "skills.png")


def read(path: pathlib.Path) -> str:
    """Reads a page.

    Raises:
      ValueError: it lacks a mark between which `write` writes.
      OSError: there is none.
    """
    text = path.read_text()
    for begin, end in map(_marks, _PARTS):
        if begin not in text or end not in text:
            raise ValueError(f"{path} has no lines {begin} and {end}")
    return text


def write(path: pathlib.Path, plans: Sequence[Plan]) -> None:
    """Writes settings and results between the marks of a page; the rest stays.

    Args:
      path: Markdown file that `read` reads.
      plans: plans of the figures, in their order.
    """
    text = read(path)
    results = "\n".join(section(plan, path.parent) for plan in plans)
    table = "\n".join(settings_table("laptop"))
    for name, body in zip(_PARTS, (table, results), strict=True):
        begin, end = _marks(name)
        before, rest = text.split(begin, 1)
        text = f"{before}{begin}\n\n{body}\n{end}{rest.split(end, 1)[1]}"
    atomic_files.write_text(path, text)


def _marks(part: str) -> tuple[str, str]:
    return f"<!-- {part} -->", f"<!-- end of {part} -->"


def section(plan: Plan, directory: pathlib.Path) -> str:
    """Returns the section of a figure.

    Args:
      plan: its plan.
      directory: directory of the page, to which links are relative.
    """
    title = "Table 1" if plan.name == "table1" else f"Figure {plan.name}"
    lines = [f"## {title}. {plan.figure.title}", ""]
    lines += [f"The paper: {plan.figure.paper}", ""]
    path = plan.root / "summary.json"
    if not path.exists():
        return "\n".join([*lines, "Not run.", ""])
    summary = atomic_files.read_json(path)
    table = plan.root / exploration_table.MARKDOWN
    if table.exists():
        lines += [exploration_table.means_of(table.read_text()), ""]
    # The rollouts beside a table are of a single step.
    for name in () if table.exists() else _PICTURES:
        if (plan.root / name).exists():
            link = os.path.relpath(plan.root / name, directory)
            lines += [f"![{plan.figure.title}]({link})", ""]
    seconds = plan.root / "seconds.json"
    if seconds.exists():
        spent = atomic_files.read_json(seconds)["seconds"]
        lines += [f"Made in about {estimates.describe(spent)} by the command.", ""]
    if "panels" in summary:
        lines += [
            f"{summary['steps']:,} environment steps a run. Area: the mean return of "
            "all episodes, of 400 at most, with its 95 % interval over the seeds.",
            "",
            *_table(summary["panels"], plan.figure),
            "",
        ]
    return "\n".join(lines)


def settings_table(scale: str) -> list[str]:
    """Returns a Markdown table of what each figure is made of at a scale."""
    lines = ["| figure | panels | arms | steps a run |", "|---|---|---|---|"]
    for name, figure in figures.FIGURES.items():
        panels = ", ".join(panel.title for panel in figure.panels) or "analysis"
        arms = ", ".join(map(_describe, figure.arms_at(scale)))
        steps = f"{figure.steps[scale]:,}" if figure.panels else ""
        bundles = ", ".join(figure.analysed)
        lines.append(f"| {name} | {panels} | {arms or bundles} | {steps} |")
    return lines


def _describe(arm: Arm) -> str:
    settings = [f"{name} {value}" for name, value in arm.settings.items()]
    parts = [arm.bundle or "no skills", *settings]
    return f"`{arm.name}` ({arm.agent}; {', '.join(parts)})"


def _table(panels: Mapping[str, Mapping[str, Any]], figure: Figure) -> Iterable[str]:
    yield "| panel | arm | seeds | area | success of the last fifth |"
    yield "|---|---|---|---|---|"
    titles = {panel.name: panel.title for panel in figure.panels}
    for panel, entries in panels.items():
        for arm, entry in entries.items():
            low, high = entry["low"]["area"], entry["high"]["area"]
            seeds = len(entry["runs"]["area"])
            interval = f" ({low:.0f} to {high:.0f})" if seeds > 1 else ""
            area = f"{entry['area']:.0f}{interval}"
            success = f"{100 * entry['success']:.0f} %"
            yield f"| {titles[panel]} | {arm} | {seeds} | {area} | {success} |"
