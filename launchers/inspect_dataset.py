"""Describes a data set and reports its problems.

python -m launchers.inspect_dataset DIR
python -m launchers.inspect_dataset DIR --out=FIGURES --video

Prints counts, returns, success and ranges; with --out, draws histograms and a few
episodes, as curves and as contact sheets. Problems go to standard error, one per line,
with file and episode; the exit code is 2 if any of them is more than a warning.
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence

import numpy as np
import tqdm
from absl import flags

from datasets.rlds import reader
from datasets.validation import inspection
from environments.rendering import RenderingUnavailable
from launchers.common import cli, columns_flags
from launchers.inspection import episode_views, figures, report

_OUT = flags.DEFINE_string("out", None, "Directory of the figures; none by default.")
_FIGURE_EPISODES = flags.DEFINE_integer(
    "figure_episodes",
    4,
    "Episodes to draw, spread over the data set.",
    lower_bound=0,
)
_COLUMNS = columns_flags.define()
_VIDEO = flags.DEFINE_bool("video", False, "Also a video of each episode drawn.")


def main(argv: Sequence[str]) -> None:
    """Inspects the data set and prints the report."""
    with cli.bad_input():
        if len(argv) < 2:
            raise ValueError("which data set? python -m launchers.inspect_dataset DIR")
        out = pathlib.Path(_OUT.value) if _OUT.value else None
        if _VIDEO.value and out is None:
            raise ValueError("--video needs --out=DIR")
        columns = _COLUMNS()
        needed = [n for n in reader.REQUIRED if columns.is_own or n != "action"]
        source = reader.Records(argv[1], needed)
        checked = inspection.Inspection(source, columns)
        if out and out.exists() and not out.is_dir():
            raise ValueError(f"{out} is not a directory")
        if out:
            out.mkdir(parents=True, exist_ok=True)
    drawn = _drawn(source.num_episodes, _FIGURE_EPISODES.value) if out else set()
    pictures = _Pictures(out, checked.images) if out else None
    with tqdm.tqdm(total=source.num_episodes, unit="episode", leave=False) as bar:
        for episode in source.episodes(checked.report):
            checked.add(episode)
            if pictures and len(checked.rows) - 1 in drawn:
                pictures.draw(episode)
            bar.set_postfix_str(f"{len(checked.problems)} problems", refresh=False)
            bar.update()
    checked.finish()
    if out:
        figures.write_histograms(out / "histograms.png", checked)
    try:
        print("\n".join(report.lines(checked, source)), flush=True)
    except BrokenPipeError:  # As with `| head`; the problems are still reported.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for note in pictures.notes if pictures else ():
        print(f"note: {note}", file=sys.stderr)
    for problem in checked.problems:
        kind = "warning" if problem.warning else "problem"
        print(f"{kind}: {problem}", file=sys.stderr)
    if any(not problem.warning for problem in checked.problems):
        raise SystemExit(cli.EXIT_BAD_INPUT)


def _drawn(episodes: int, count: int) -> set[int]:
    return set(np.linspace(0, episodes - 1, count).round().astype(int).tolist())


class _Pictures:
    """Figures of episodes; `notes` lists, once each, why some cannot be drawn."""

    def __init__(self, out: pathlib.Path, cameras: Sequence[str]) -> None:
        self.notes: list[str] = []
        self._out = out
        self._cameras = cameras
        self._views: episode_views.EpisodeViews | None = None
        self._no_gl = False

    def draw(self, episode: reader.Episode) -> None:
        arrays = (*episode.steps.values(), *episode.observation.values())
        lengths = {len(values) for values in arrays}
        if len(lengths) > 1 or 0 in lengths:
            self.notes.append(f"{episode.place}: no figures: its arrays lack steps")
            return
        name = f"episode_{episode.index:05d}"
        figures.write_episode(self._out / f"{name}.png", episode)
        for camera in self._cameras:
            images = figures.decoded(episode, camera)
            if images is not None:
                path = self._out / f"{name}_{camera.replace('/', '_')}.png"
                figures.write_contact_sheet(path, episode, camera, images)
        if self._no_gl:
            return
        try:
            self._draw_views(name, episode)
        except RenderingUnavailable as e:
            self._no_gl = True
            self.notes.append(f"no contact sheets and videos: {e}")
        except ValueError as e:
            self.notes.append(f"{episode.place}: no contact sheet: {e}")

    def _draw_views(self, name: str, episode: reader.Episode) -> None:
        if self._views is None:
            self._views = episode_views.EpisodeViews()
        steps = figures.sheet_steps(len(episode.steps["is_first"]))
        images = list(self._views.images(episode, steps))
        path = self._out / f"{name}_view.png"
        figures.write_contact_sheet(path, episode, "drawn again", images)
        if _VIDEO.value:
            path = self._out / f"{name}.mp4"
            episode_views.write_video(path, self._views, episode)


if __name__ == "__main__":
    cli.run(main, arguments=1)
