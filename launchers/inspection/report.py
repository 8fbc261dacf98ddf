"""Report of an inspected data set, as text."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from datasets.rlds import reader, running_statistics
from datasets.validation import inspection
from environments import observations


def lines(inspected: inspection.Inspection, source: reader.Records) -> Iterator[str]:
    """Yields the lines of the report, without the problems."""
    rows = inspected.rows
    steps = sum(row.steps for row in rows)
    yield (
        f"{source.directory}: {len(rows)} episodes read of {source.num_episodes}, "
        f"{steps} control steps, {len(source.files)} files, "
        f"{inspected.num_bytes / 1e6:.1f} MB"
    )
    tried = inspected.manifest.get("tried", source.num_episodes)
    if tried != source.num_episodes:
        yield f"kept {source.num_episodes} of {tried} episodes that were tried"
    if not rows:
        return
    invalid = sum(row.invalid for row in rows)
    if invalid:
        yield f"{invalid} episodes are marked invalid: the simulation diverged"
    if inspected.images:
        yield f"images: {', '.join(inspected.images)}"
    yield from _section("Returns and success", _outcomes(rows))
    delays = collections.Counter(
        row.action_delay for row in rows if row.action_delay is not None
    )
    if delays:
        yield from _section("Action delay [control steps]", _shares(delays, "episodes"))
    if inspected.phase_steps:
        yield from _section("Phases of the expert", _phases(inspected))
    drawn = {k: m for k, m in sorted(inspected.randomization.items()) if m.count.any()}
    if drawn or inspected.drawn_names:
        yield from _section("Drawn randomisation", _randomization(inspected, drawn))
    title = (
        "Ranges (the newest frame of what is stacked; actions without the last step)"
    )
    yield from _section(title, _ranges(inspected.statistics.ranges()))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yields lines whose first column stands to the left, the others to the right."""
    cells = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        first = row[0].ljust(widths[0])
        rest = (
            cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)
        )
        yield "  ".join((first, *rest)).rstrip()


def _section(title: str, body: Iterable[str]) -> Iterator[str]:
    yield ""
    yield title
    yield from (f"  {line}" for line in body)


def _outcomes(rows: Sequence[inspection.Row]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[inspection.Row]] = collections.defaultdict(list)
    for row in rows:
        groups[row.task, row.object_set].append(row)
    named = [(*key, groups[key]) for key in sorted(groups)]
    if len(named) > 1:
        named.append(("all", "", list(rows)))
    header = ("task", "object set", "episodes", "steps", "success", "return: mean")
    yield from table(
        (*header, "std", "min", "median", "max"),
        (
            (task, _set_name(number), str(len(group)), *_outcome(group))
            for task, number, group in named
        ),
    )


def _outcome(rows: Sequence[inspection.Row]) -> list[str]:
    returns = np.array([row.episode_return for row in rows])
    known = [row.success for row in rows if row.success is not None]
    success = f"{100 * np.mean(known):.1f} %" if known else "unknown"
    lengths = sorted({row.steps for row in rows})
    span = str(lengths[0]) if len(lengths) == 1 else f"{lengths[0]}..{lengths[-1]}"
    low, middle, high = returns.min(), np.median(returns), returns.max()
    values = (returns.mean(), returns.std(), low, middle, high)
    return [span, success, *(f"{v:.1f}" for v in values)]


def _set_name(number: str) -> str:
    return "random" if number == "0" else number


def _shares(counts: collections.Counter, unit: str) -> Iterator[str]:
    total = sum(counts.values())
    yield from table(
        ("value", unit, "share"),
        (
            (str(value), str(count), f"{100 * count / total:.1f} %")
            for value, count in sorted(counts.items())
        ),
    )


def _phases(inspected: inspection.Inspection) -> Iterator[str]:
    steps, episodes = sum(inspected.phase_steps.values()), len(inspected.rows)
    yield from table(
        ("phase", "share of steps", "in episodes"),
        (
            (
                name,
                f"{100 * count / steps:.1f} %",
                f"{100 * inspected.phase_episodes[name] / episodes:.1f} %",
            )
            for name, count in inspected.phase_steps.items()
        ),
    )


def _randomization(
    inspected: inspection.Inspection,
    drawn: dict[str, running_statistics.RunningStatistics],
) -> Iterator[str]:
    if drawn:
        yield from _moments_table((name, moments, 0) for name, moments in drawn.items())
    for name, counts in sorted(inspected.drawn_names.items()):
        common = ", ".join(f"{value} {n}" for value, n in counts.most_common(8))
        more = f" and {len(counts) - 8} others" if len(counts) > 8 else ""
        yield f"{name}: {common}{more}"


def _ranges(ranges: dict[str, running_statistics.RunningStatistics]) -> Iterator[str]:
    rows = []
    for name, moments in sorted(ranges.items()):
        name = name.removeprefix("observation/")
        size = _newest(name, len(moments.mean))
        for i in range(size):
            rows.append((f"{name}[{i}]" if size > 1 else name, moments, i))
    yield from _moments_table(rows)


def _newest(name: str, size: int) -> int:
    """Returns the length of an array's newest frame, which stands first."""
    if name == observations.PREVIOUS_ACTION or name in observations.FRAME_SIZES:
        shape = observations.shape(name)
        return size // shape[0] if size == math.prod(shape) else size
    return size


def _moments_table(
    rows: Iterable[tuple[str, running_statistics.RunningStatistics, int]],
) -> Iterator[str]:
    yield from table(
        ("", "min", "mean", "std", "max"),
        (
            (
                name,
                *(
                    f"{values[i]:.4g}" if m.count[i] else "-"
                    for values in (m.min, m.mean, m.std, m.max)
                ),
            )
            for name, m, i in rows
        ),
    )
