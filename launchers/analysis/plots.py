"""Figures of the analyses; drawn without a display."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from environments import scene
from launchers.analysis import latent_space
from launchers.analysis.rollouts import FRAME_EVERY, Rollout
from launchers.common import figures
from launchers.skills import figures as skill_figures

_DPI = 110
_COLUMNS = 6  # images in a row of the contact sheet
_POINTS = 4000  # most points in a scatter plot
_UNKNOWN = "#dddddd"


def skill_colors(count: int) -> list:
    """Returns a colour for each skill."""
    if count <= 10:
        return [matplotlib.colormaps["tab10"](i)[:3] for i in range(count)]
    return list(matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, count)))


def phase_colors(count: int) -> list:
    """Returns a colour for each phase, from early to late."""
    return list(matplotlib.colormaps["viridis"](np.linspace(0.0, 1.0, count)))


def write_contact_sheet(path: pathlib.Path, rollouts: Sequence[Rollout]) -> None:
    """Draws one row of images per rollout, time to the right."""
    figure = figures.make(1.7 * _COLUMNS + 0.4, 1.32 * len(rollouts) + 0.4)
    panels = figure.subplots(len(rollouts), _COLUMNS, squeeze=False)
    for number, (row, rollout) in enumerate(zip(panels, rollouts, strict=True)):
        kept = np.linspace(0, len(rollout.frames) - 1, _COLUMNS).round().astype(int)
        for axes, frame in zip(row, kept, strict=True):
            axes.imshow(rollout.frames[frame])
            axes.set_xticks([])
            axes.set_yticks([])
            if number == 0:
                seconds = frame * FRAME_EVERY * scene.CONTROL_TIMESTEP
                axes.set_title(f"{seconds:.1f} s", fontsize=9)
        row[0].set_ylabel(f"skill {rollout.skill}")
    figures.save(path, figure, _DPI)


def write_separation(path: pathlib.Path, distances: np.ndarray) -> None:
    """Draws the distances [K, K] between the skills' mean end states."""
    figure = figures.make(4.4, 3.6)
    axes = figure.subplots()
    image = axes.imshow(distances, cmap="Purples", vmin=0)
    figure.colorbar(image, ax=axes, label="standard deviations within a skill")
    for (row, column), value in np.ndenumerate(distances):
        dark = value > 0.6 * max(distances.max(), 1e-9)
        color = "white" if dark else "black"
        text = f"{value:.1f}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    ticks = range(len(distances))
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.set(xlabel="skill", ylabel="skill", title="distance of mean end states")
    figures.save(path, figure, _DPI)


def write_contingency(
    path: pathlib.Path, table: np.ndarray, phase_names: Sequence[str]
) -> None:
    """Draws counts [phases, K]: skills in each phase, and phases in each skill."""
    figure = figures.make(9.5, 0.36 * len(phase_names) + 1.5)
    left, right = figure.subplots(1, 2, sharey=True)
    titles = ("share of a phase's steps", "share of a skill's steps")
    for axes, axis, title in zip((left, right), (1, 0), titles, strict=True):
        total = table.sum(axis=axis, keepdims=True)
        share = np.where(total > 0, table / np.maximum(total, 1), np.nan)
        skill_figures.draw_shares(axes, share)
        axes.set(title=title, xlabel="skill")
        axes.set_xticks(range(table.shape[1]))
    left.set_yticks(range(len(phase_names)), phase_names)
    figures.save(path, figure, _DPI)


def write_timelines(
    path: pathlib.Path,
    titles: Sequence[str],
    phases: Sequence[np.ndarray],
    skills: Sequence[np.ndarray],
    phase_names: Sequence[str],
    num_skills: int,
) -> None:
    """Draws for each episode a band of phases (where known) above a band of skills."""
    figure = figures.make(10, 0.75 * len(titles) + 1.3)
    panels = figure.subplots(len(titles), 1, squeeze=False)[:, 0]
    colors = skill_colors(num_skills)
    for axes, title, phase, skill in zip(panels, titles, phases, skills, strict=True):
        _band(axes, skill, colors, 0)
        if phase_names:
            _band(axes, phase, phase_colors(len(phase_names)), 1)
        axes.set(ylim=(0, 2 if phase_names else 1), xlim=(0, len(skill)))
        names = ("skill", "phase")[: 2 if phase_names else 1]
        axes.set_yticks([i + 0.5 for i in range(len(names))], names, fontsize=8)
        axes.set_title(title, fontsize=8, loc="left", pad=2)
        axes.tick_params(length=0)
        if axes is not panels[-1]:
            axes.set_xticks([])
    panels[-1].set_xlabel("control step")
    legends = {"upper": _patches(phase_colors(len(phase_names)), phase_names)}
    legends["lower"] = _patches(colors, [f"skill {k}" for k in range(num_skills)])
    for side, handles in legends.items():
        if handles:
            figure.legend(
                handles=handles,
                loc=f"outside {side} center",
                ncols=10,
                fontsize=8,
                frameon=False,
            )
    figures.save(path, figure, _DPI)


def write_latents(
    path: pathlib.Path,
    samples: latent_space.Samples,
    kl: np.ndarray | None,
    variances: np.ndarray,
    seed: int,
) -> None:
    """Draws two principal components, by skill and phase, and each dimension's use.

    Args:
      path: path of the figure.
      samples: latents; at most 4,000 of them are drawn.
      kl: [Z] KL to the prior, nats; None for latents without variance.
      variances: [Z] variance of the posterior means.
      seed: seed of the choice of samples.
    """
    views = []
    if samples.skills is not None:
        count = int(samples.skills.max()) + 1
        names = [f"skill {k}" for k in range(count)]
        views.append(("by skill", samples.skills, names, skill_colors(count)))
    if samples.phases is not None and samples.phase_names:
        names = list(samples.phase_names)
        views.append(("by phase", samples.phases, names, phase_colors(len(names))))
    figure = figures.make(4.6 * len(views) + 4.4, 4.4)
    *scatters, bars = figure.subplots(1, len(views) + 1)
    components = latent_space.principal_components(samples.latents)
    size = len(samples.latents)
    drawn = np.random.default_rng(seed).permutation(size)[:_POINTS]
    points = components.project(samples.latents[drawn])
    if points.shape[1] == 1:
        points = np.concatenate([points, np.zeros_like(points)], axis=1)
    for axes, (title, labels, names, colors) in zip(scatters, views, strict=True):
        table = np.array([matplotlib.colors.to_rgba(c) for c in (*colors, _UNKNOWN)])
        axes.scatter(*points.T, s=4, c=table[labels[drawn]], linewidths=0, alpha=0.6)
        shares = [f"{100 * share:.0f} %" for share in components.explained]
        captions = [f"component {i + 1} ({share})" for i, share in enumerate(shares)]
        axes.set(title=f"z {title}", xlabel=captions[0], ylabel=(*captions, "")[1])
        axes.legend(
            handles=_patches(colors, names),
            fontsize=7,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16),
            ncols=min(5, len(names)),
            frameon=False,
        )
    places = np.arange(len(variances))
    if kl is not None:
        bars.bar(places - 0.2, kl, 0.4, label="KL to the prior, nats", color="#4c6a92")
    bars.bar(
        places + 0.2, variances, 0.4, label="variance of the mean", color="#c98b3a"
    )
    bars.set(title="use of each dimension", xlabel="dimension of z")
    bars.set_xticks(places)
    bars.legend(
        fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False
    )
    figures.save(path, figure, _DPI)


def write_traces(
    path: pathlib.Path,
    titles: Sequence[str],
    means: Sequence[np.ndarray],
    phases: Sequence[np.ndarray],
    phase_names: Sequence[str],
) -> None:
    """Draws for each episode the latent's mean [T, Z] over time, above its phases."""
    figure = figures.make(10, 1.7 * len(titles) + 0.8)
    panels = figure.subplots(len(titles), 1, squeeze=False)[:, 0]
    colors = phase_colors(len(phase_names))
    for axes, title, mean, phase in zip(panels, titles, means, phases, strict=True):
        span = max(float(np.ptp(mean)), 1e-6)
        low = float(mean.min())
        axes.plot(mean, linewidth=0.9)
        if phase_names:
            _band(axes, phase, colors, low - 0.25 * span, 0.12 * span)
        axes.set(xlim=(0, len(mean)), ylabel="mean of z")
        axes.set_title(title, fontsize=8, loc="left", pad=2)
        if axes is not panels[-1]:
            axes.set_xticks([])
    panels[-1].set_xlabel("control step")
    if phase_names:
        figure.legend(
            handles=_patches(colors, phase_names),
            loc="outside lower center",
            ncols=9,
            fontsize=8,
            frameon=False,
        )
    figures.save(path, figure, _DPI)


def _band(
    axes: Axes, labels: np.ndarray, colors: Sequence, bottom: float, height: float = 0.9
) -> None:
    """Draws labels [T] as colours along time; -1 is grey."""
    axes.imshow(
        np.where(labels < 0, len(colors), labels)[None],
        cmap=ListedColormap([*colors, _UNKNOWN]),
        vmin=-0.5,
        vmax=len(colors) + 0.5,
        extent=(0, len(labels), bottom, bottom + height),
        aspect="auto",
        interpolation="nearest",
    )
    axes.autoscale(True)


def _patches(colors: Sequence, names: Sequence[str]) -> list[Patch]:
    return [
        Patch(color=color, label=name)
        for color, name in zip(colors, names, strict=True)
    ]
