"""One HTML page for an episode: video, actions, rewards, skills and phases over time.

The page holds everything and opens offline. Shape letters: T control steps, D action,
K skills.
"""

from __future__ import annotations

import dataclasses
import html
import io
import itertools
import json
import os
import pathlib
import string
import tempfile
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from PIL import Image

from agents.helms.frozen import Skills
from datasets.rlds import reader
from datasets.rlds.columns import Columns
from datasets.validation import inspection
from environments import scene
from environments.rendering import RenderingUnavailable
from launchers.analysis import plots
from launchers.common import atomic_files, figures, html_report
from launchers.inspection import episode_views
from launchers.inspection import figures as episode_figures

_TEMPLATE = pathlib.Path(__file__).with_name("episode_page.html")
_DPI = 130
_WIDTH = 10.0  # of the figure, in inches
_HEIGHTS = {"phase": 0.3, "skill": 1.2, "reward": 1.0, "action": 1.6}  # in inches
_SHORTEST_NAMED = 1 / 50  # share of the episode; shorter phases have no room for a name


@dataclasses.dataclass(frozen=True)
class Signals:
    """What the time line of an episode shows.

    Attributes:
      reward: [T].
      action: [T, D].
      phases: int [T] into `phase_names`; None where the data set has none.
      phase_names: names of the expert's phases.
      posterior: [T, K] probabilities of the skills; None without skills.
    """

    reward: np.ndarray
    action: np.ndarray
    phases: np.ndarray | None = None
    phase_names: tuple[str, ...] = ()
    posterior: np.ndarray | None = None

    def phase(self, step: int) -> str:
        """Returns the name of a step's phase; "" where there is none."""
        assert self.phases is not None
        number = int(self.phases[step])
        return self.phase_names[number] if 0 <= number < len(self.phase_names) else ""


def find(directory: str | os.PathLike[str], number: int) -> reader.Episode:
    """Reads one episode of a data set.

    Args:
      directory: directory of the data set.
      number: its `episode_index`, as in the names that `inspect_dataset` prints.

    Raises:
      ValueError: in one line, if the data set or the episode cannot be read.
    """
    source = reader.Records(directory)

    def refuse(problem: reader.Problem) -> None:
        raise ValueError(f"data set {directory} is damaged: {problem}")

    if 0 <= number < source.num_episodes:  # where nothing was left out, it is there
        first = next(source.episodes(refuse, number), None)
        if first is not None and first.index == number:
            return first
    indices = []
    for episode in source.episodes(refuse):
        if episode.index == number:
            return episode
        indices.append(episode.index)
    raise ValueError(
        f"{directory} has no episode {number}; it has {len(indices)}, numbered from "
        f"{min(indices)} to {max(indices)}"
    )


def signals(episode: reader.Episode, skills: Skills | None = None) -> Signals:
    """Returns what the time line of an episode shows.

    Raises:
      ValueError: in one line, if the skills need observations that it does not have.
    """
    num_steps = len(episode.steps["action"]) - 1
    if num_steps < 1:
        raise ValueError(f"{episode.place} has no step")
    names = inspection.phase_names(episode) or []
    phases = episode.steps.get("expert_phase")
    return Signals(
        reward=np.asarray(episode.steps["reward"][:num_steps], np.float64),
        action=np.asarray(episode.steps["action"][:num_steps], np.float64),
        phases=None if phases is None or not names else phases[:num_steps],
        phase_names=tuple(map(str, names)),
        posterior=None if skills is None else _posterior(episode, skills),
    )


def write(
    path: pathlib.Path, episode: reader.Episode, skills: Skills | None = None
) -> None:
    """Writes the page.

    The video shows the observed states or, where they are not this project's or nothing
    can be rendered, the first recorded camera. Without either there is none.

    Args:
      path: path of the page.
      episode: the episode.
      skills: skills whose posterior is shown.

    Raises:
      ValueError: in one line, if the skills need observations that it does not have.
    """
    shown = signals(episode, skills)
    with tempfile.TemporaryDirectory() as directory:
        clip = pathlib.Path(directory) / "episode.mp4"
        note = _write_video(clip, episode)
        video = ""
        if clip.exists():
            source = html_report.data_uri(clip.read_bytes(), "video/mp4")
            video = f'<video controls muted src="{source}"></video>'
    picture, left, right = _draw(shown)
    data = {
        "left": left,
        "right": right,
        "step_seconds": scene.CONTROL_TIMESTEP,
        "rows": list(_rows(shown)),
    }
    text = string.Template(_TEMPLATE.read_text()).substitute(
        title=html.escape(episode_figures.title(episode)),
        video=video,
        picture=html_report.data_uri(picture, "image/png"),
        note=html.escape(note),
        data=json.dumps(data).replace("</", r"<\/"),
    )
    atomic_files.write_text(path, text)


def _posterior(episode: reader.Episode, skills: Skills) -> np.ndarray:
    """Computes q(y_t | x_{1:t}) [T, K]; the end repeats for the look-ahead."""
    columns = Columns.of_bundle(skills.description)
    missing = [name for name in columns.sources if name not in episode.observation]
    if missing:
        raise ValueError(
            f"the skills need the observations {', '.join(missing)}, which "
            f"{episode.place} lacks"
        )
    task = str(episode.metadata.get("task", ""))
    groups = columns.observations(episode.observation, task)
    for group, values in groups.items():
        size, known = values.shape[1], skills.description["dims"][group]
        if size != known:
            raise ValueError(
                f"the skills need {known} numbers of {group}, and {episode.place} has "
                f"{size}"
            )
    length = len(groups["proprio"])
    frames = np.minimum(np.arange(length - 1 + skills.look_ahead), length - 1)
    window = (tf.constant(groups[g][frames][None]) for g in ("proprio", "objects"))
    return skills.posterior(*window)[0].numpy()


def _write_video(path: pathlib.Path, episode: reader.Episode) -> str:
    """Writes the video if there can be one; returns what it shows, as a sentence."""
    views = None
    try:
        views = episode_views.EpisodeViews()
        episode_views.write_video(path, views, episode)
        return "The video is drawn from the observed states."
    except (ValueError, RenderingUnavailable) as e:
        reason = str(e)
    finally:
        if views is not None:
            views.close()
    images = _recorded(episode)
    if images is None:
        return f"There is no video: {reason}."
    camera, frames = images
    episode_views.write_images(path, frames, every=1)
    return f"The video is of the camera {camera}."


def _recorded(episode: reader.Episode) -> tuple[str, Iterator[np.ndarray]] | None:
    """Returns the first camera and its images, uint8 [H, W, 3]; None without any."""
    for name, values in episode.observation.items():
        if values.dtype == object and len(values):  # encoded, not decoded
            return name, (
                np.asarray(Image.open(io.BytesIO(value)).convert("RGB"))
                for value in values
            )
    return None


def _draw(shown: Signals) -> tuple[bytes, float, float]:
    """Draws the time line.

    Returns:
      The PNG, and where step 0 and step T are in it, in shares of its width.
    """
    present = {
        "phase": shown.phases is not None,
        "skill": shown.posterior is not None,
        "reward": True,
        "action": True,
    }
    heights = {name: _HEIGHTS[name] for name, there in present.items() if there}
    figure = figures.make(_WIDTH, sum(heights.values()) + 0.3 * len(heights) + 0.5)
    panels = figure.subplots(
        len(heights),
        1,
        sharex=True,
        squeeze=False,
        height_ratios=list(heights.values()),
    )
    axes: dict[str, Axes] = dict(zip(heights, panels[:, 0], strict=True))
    if "phase" in axes:
        _draw_phases(axes["phase"], shown)
    if shown.posterior is not None:
        _draw_posterior(axes["skill"], shown.posterior)
    num_steps, size = shown.action.shape
    axes["reward"].step(range(num_steps), shown.reward, where="post", color="#8a4fbf")
    axes["reward"].set_ylabel("reward")
    for i in range(size):
        axes["action"].step(
            range(num_steps), shown.action[:, i], where="post", lw=1, label=str(i)
        )
    axes["action"].set(ylabel="action", xlabel="control step", xlim=(0, num_steps))
    axes["action"].legend(**_BESIDE)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI)
    box = axes["action"].get_position()
    return content.getvalue(), box.x0, box.x1


_BESIDE = {
    "loc": "center left",
    "bbox_to_anchor": (1.0, 0.5),
    "frameon": False,
    "fontsize": 8,
}


def _draw_phases(axes: Axes, shown: Signals) -> None:
    assert shown.phases is not None
    changes = (np.flatnonzero(np.diff(shown.phases)) + 1).tolist()
    bounds = [0, *changes, len(shown.phases)]
    for i, (start, stop) in enumerate(itertools.pairwise(bounds)):
        axes.axvspan(start, stop, color=("#e4dfd2", "#f4f1e9")[i % 2], lw=0)
        if stop - start >= len(shown.phases) * _SHORTEST_NAMED:
            axes.text(
                start, 1.05, shown.phase(start), rotation=25, fontsize=7, va="bottom"
            )
    axes.set(ylabel="phase", yticks=[], ylim=(0, 1))


def _draw_posterior(axes: Axes, posterior: np.ndarray) -> None:
    num_steps, num_skills = posterior.shape
    axes.stackplot(
        range(num_steps),
        posterior.T,
        step="post",
        colors=plots.skill_colors(num_skills),
        labels=[str(i) for i in range(num_skills)],
    )
    axes.set(ylabel="skill", ylim=(0, 1))
    axes.legend(**_BESIDE, reverse=True, ncols=-(-num_skills // 8))


def _rows(shown: Signals) -> Iterator[tuple[str, list[str]]]:
    """Yields names and texts [T + 1] of the table beside the video."""
    num_steps, size = shown.action.shape
    steps = range(num_steps)
    yield "step", [f"{step} of {num_steps}" for step in range(num_steps + 1)]
    seconds = scene.CONTROL_TIMESTEP
    yield "time", [f"{step * seconds:.2f} s" for step in range(num_steps + 1)]
    if shown.phases is not None:
        yield "phase", [*map(shown.phase, steps), ""]
    if shown.posterior is not None:
        likeliest = shown.posterior.argmax(axis=1)
        texts = [f"{k} ({shown.posterior[i, k]:.2f})" for i, k in enumerate(likeliest)]
        yield "skill", [*texts, ""]
    yield "reward", [*(f"{value:.3f}" for value in shown.reward), ""]
    sums = np.concatenate([[0.0], np.cumsum(shown.reward)])
    yield "return so far", [f"{value:.2f}" for value in sums]
    for i in range(size):
        yield f"action {i}", [*(f"{value:+.2f}" for value in shown.action[:, i]), ""]
