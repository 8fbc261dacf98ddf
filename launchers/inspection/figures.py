"""Figures of a data set; drawn without a display."""

from __future__ import annotations

import io
import itertools
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from datasets.rlds import reader
from datasets.validation import checks, inspection
from environments import observations
from launchers.common import figures

_TOOL = "sawyer/pinch/pose"
_OPENING = "gripper/joints/angle"
_COLORS = {"red": "#d1292b", "green": "#2b9348", "blue": "#2660c9"}
_DPI = 110
_COLUMNS, _ROWS = 6, 3  # images in a contact sheet
_NEEDED = (_TOOL, _OPENING, *(f"rgb30_{c}/abs_pose" for c in _COLORS))


def write_histograms(path: pathlib.Path, inspected: inspection.Inspection) -> None:
    """Draws histograms of each action's values, and of returns by success."""
    counts = inspected.action_counts
    if counts is None:
        return
    figure = figures.make(2.4 * (len(counts) + 1.5), 2.8)
    ratios = [1.0] * len(counts) + [1.5]
    *left, right = figure.subplots(1, len(counts) + 1, width_ratios=ratios)
    for i, (axes, edges) in enumerate(
        zip(left, inspected.action_edges(len(counts)), strict=True)
    ):
        share = counts[i] / max(counts[i].sum(), 1)
        axes.stairs(share, edges, fill=True, color="#4c6a92")
        low, high = edges[0], edges[-1]
        axes.set(title=f"action {i}", xlim=(low, high), ylim=(0, None))
        axes.set_xticks([low, (low + high) / 2, high])
    left[0].set_ylabel("share of control steps")
    groups: dict[str, tuple[bool | None, str]] = {
        "success": (True, "#2b9348"),
        "failure": (False, "#d1292b"),
        "not known": (None, "#888888"),
    }
    returns = {
        label: [r.episode_return for r in inspected.rows if r.success is value]
        for label, (value, _) in groups.items()
    }
    labels = [label for label in groups if returns[label]]
    right.hist(
        [returns[label] for label in labels],
        bins=30,
        stacked=True,
        color=[groups[label][1] for label in labels],
        label=labels,
    )
    right.set(title="returns", xlabel="sum of rewards", ylabel="episodes")
    right.legend(frameon=False)
    figures.save(path, figure, _DPI)


def write_episode(path: pathlib.Path, episode: reader.Episode) -> bool:
    """Draws one episode: paths from above, heights, gripper and reward over the steps.

    Returns:
      Whether it was drawn, which it is not without this project's observations.
    """
    newest = {
        name: checks.newest_frames(name, episode.observation[name])
        for name in _NEEDED
        if name in episode.observation
        and episode.observation[name].shape[1:] == observations.shape(name)
    }
    if len(newest) < len(_NEEDED):
        return False
    figure = figures.make(11, 6)
    axes = figure.subplot_mosaic(
        [["above", "height"], ["above", "gripper"], ["above", "reward"]],
        width_ratios=[1, 1.5],
        height_ratios=[2, 1, 1],
    )
    figure.suptitle(title(episode), fontsize=10)
    above, height = axes["above"], axes["height"]
    paths = {c: (newest[f"rgb30_{c}/abs_pose"], color) for c, color in _COLORS.items()}
    paths["tool"] = (newest[_TOOL], "#555555")
    for name, (pose, color) in paths.items():
        above.plot(pose[:, 1], pose[:, 0], color=color, label=name, lw=1)
        above.plot(pose[0, 1], pose[0, 0], "o", color=color, ms=4)
        above.plot(pose[-1, 1], pose[-1, 0], "s", color=color, ms=6)
        height.plot(pose[:, 2], color=color, lw=1)
    above.set(title="from above (dot: start, square: end)", xlabel="y [m]")
    above.set_ylabel("x [m]")
    above.set_aspect("equal", adjustable="datalim")
    above.invert_xaxis()  # y is to the left of x.
    above.locator_params(nbins=6)
    above.legend(frameon=False, fontsize=8)
    height.set_ylabel("height [m]")
    gripper, reward = axes["gripper"], axes["reward"]
    gripper.plot(newest[_OPENING], color="#555555", lw=1)
    gripper.set(ylabel="gripper\n(255: closed)", ylim=(-10, 265))
    reward.plot(episode.steps["reward"][:-1], color="#8a4fbf", lw=1)
    reward.set(ylabel="reward", xlabel="control step", ylim=(-0.05, 1.05))
    _shade_phases([height, gripper, reward], episode)
    figure.align_ylabels([height, gripper, reward])
    for panel in (height, gripper, reward):
        panel.set_xlim(0, max(len(episode.steps["reward"]) - 1, 1))
    figures.save(path, figure, _DPI)
    return True


def sheet_steps(length: int) -> list[int]:
    """Returns the steps of a contact sheet, the first and last among them."""
    count = min(length, _COLUMNS * _ROWS)
    return np.linspace(0, length - 1, count).round().astype(int).tolist()


def write_contact_sheet(
    path: pathlib.Path,
    episode: reader.Episode,
    camera: str,
    images: Iterable[np.ndarray],
) -> None:
    """Draws the views of `sheet_steps` side by side, uint8 [H, W, 3] each."""
    steps = sheet_steps(len(episode.steps["is_first"]))
    images = list(images)
    height, width = images[0].shape[:2]
    rows = -(-len(steps) // _COLUMNS)
    panel = 1.7 * height / width + 0.25
    figure = figures.make(1.7 * _COLUMNS, panel * rows + 0.4)
    figure.suptitle(f"{title(episode)}, {camera}", fontsize=10)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes in panels:
        axes.axis("off")
    for axes, image, step in zip(panels, images, steps, strict=False):
        axes.imshow(image)
        axes.set_title(f"step {step}", fontsize=8)
    figures.save(path, figure, _DPI)


def decoded(episode: reader.Episode, camera: str) -> list[np.ndarray] | None:
    """Decodes an episode's own images at `sheet_steps`; None if that fails."""
    encoded = episode.observation[camera]
    try:
        return [
            np.asarray(Image.open(io.BytesIO(encoded[step])))
            for step in sheet_steps(len(encoded))
        ]
    except OSError:
        return None


def _shade_phases(panels: Sequence[Axes], episode: reader.Episode) -> None:
    """Shades the expert's phases alternately, with names above the first panel."""
    phases = episode.steps.get("expert_phase", np.zeros(0))[:-1]
    if not len(phases):
        return
    names = inspection.phase_names(episode) or []
    starts = [0, *(np.flatnonzero(np.diff(phases)) + 1).tolist(), len(phases)]
    for i, (start, stop) in enumerate(itertools.pairwise(starts)):
        if i % 2:
            for panel in panels:
                panel.axvspan(start, stop, color="#f0ede4", zorder=0)
        if stop - start >= len(phases) / 50:  # leaves out names that have no room
            known = 0 <= phases[start] < len(names)
            panels[0].text(
                (start + stop) / 2,
                1.02,
                names[phases[start]] if known else "",
                transform=panels[0].get_xaxis_transform(),
                ha="left",
                rotation=40,
                rotation_mode="anchor",
                fontsize=7,
            )


def title(episode: reader.Episode) -> str:
    """Returns an episode's number, task, object set and success as text."""
    m = episode.metadata
    parts = [f"episode {episode.index}"]
    parts += [str(m["task"])] if "task" in m else []
    parts += [f"set {m['object_set']}"] if "object_set" in m else []
    if "success" in m:
        parts.append("success" if m["success"] else "failure")
    return ", ".join(parts)
