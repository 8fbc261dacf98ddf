"""Describes a data set and looks for what is wrong with it.

python -m launchers.inspect_dataset DIR

Prints counts, returns, success and ranges; with --out, draws histograms and a few
episodes. Problems go to standard error, one a line, with file and episode; exit code 2
if there are any that are not mere warnings.
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence

import numpy as np
import tqdm
from absl import flags

from datasets import inspection, records
from launchers import command, dataset_figures, dataset_report

_OUT = flags.DEFINE_string("out", None, "Directory of the figures; none by default.")
_FIGURE_EPISODES = flags.DEFINE_integer(
    "figure_episodes",
    4,
    "Episodes to draw, spread over the data set.",
    lower_bound=0,
)


def main(argv: Sequence[str]) -> None:
    """Reads every episode once."""
    with command.bad_input():
        if len(argv) < 2:
            raise ValueError("which data set? python -m launchers.inspect_dataset DIR")
        source = records.Records(argv[1])
        found = inspection.Inspection(source)
        out = pathlib.Path(_OUT.value) if _OUT.value else None
        if out and out.exists() and not out.is_dir():
            raise ValueError(f"{out} is not a directory")
        if out:
            out.mkdir(parents=True, exist_ok=True)
    drawn = _drawn(source.num_episodes, _FIGURE_EPISODES.value) if out else set()
    with tqdm.tqdm(total=source.num_episodes, unit="episode", leave=False) as bar:
        for episode in source.episodes(found.report):
            found.add(episode)
            if out and len(found.rows) - 1 in drawn:
                _draw(out, episode, found.images)
            bar.set_postfix_str(f"{len(found.problems)} problems", refresh=False)
            bar.update()
    found.finish()
    if out:
        dataset_figures.write_histograms(out / "histograms.png", found)
    try:
        print("\n".join(dataset_report.lines(found, source)), flush=True)
    except BrokenPipeError:  # As of `| head`; the problems are still to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for problem in found.problems:
        kind = "warning" if problem.warning else "problem"
        print(f"{kind}: {problem}", file=sys.stderr)
    if any(not problem.warning for problem in found.problems):
        raise SystemExit(command.EXIT_BAD_INPUT)


def _drawn(episodes: int, count: int) -> set[int]:
    return set(np.linspace(0, episodes - 1, count).round().astype(int).tolist())


def _draw(out: pathlib.Path, episode: records.Episode, cameras: Sequence[str]) -> None:
    name = f"episode_{episode.place.episode:05d}"
    dataset_figures.write_episode(out / f"{name}.png", episode)
    for camera in cameras:
        path = out / f"{name}_{camera.replace('/', '_')}.png"
        dataset_figures.write_contact_sheet(path, episode, camera)


if __name__ == "__main__":
    command.run(main, arguments=1)
