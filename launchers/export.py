"""Exports a trained agent, a bundle or a data set.

python -m launchers.export WORKDIR --out=DIR
python -m launchers.export WORKDIR|BUNDLE --format=saved_model --out=DIR
python -m launchers.export DATA --format=lerobot --out=DIR
python -m launchers.export DATA --format=robomimic --out=FILE

By default, it makes a small, portable directory of a train_agent run: settings, policy
and skill bundle. `launchers.evaluate` and `launchers.collect --expert=checkpoint:` take
it as they take the run's own directory; training cannot resume from it.

A SavedModel acts without this repository; `launchers.collect --expert=saved_model:`
takes it, too. LeRobot and robomimic read data sets with their own loaders;
`launchers.import_data` reads them back.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from absl import flags

from datasets import exchange
from launchers.common import cli

_RUN, _SAVED_MODEL = "run", "saved_model"
_FORMATS = (_RUN, _SAVED_MODEL, *exchange.FORMATS)

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "What to export, if no argument names it."
)
_OUT = flags.DEFINE_string(
    "out", None, "Directory or file to make; it must not exist.", required=True
)
_FORMAT = flags.DEFINE_enum(
    "format",
    _RUN,
    _FORMATS,
    "run, of a train_agent run; saved_model, of a run, of a clone's bundle or of "
    "helms with a distilled high level; or a library's layout of data sets.",
)
_SKILLS = flags.DEFINE_string(
    "skills",
    None,
    "Bundle of a run, which else is at its recorded place. An exported run then refers "
    "to it, relative to --out, and has no copy.",
)

_VIDEO = flags.DEFINE_bool(
    "video", False, "Of --format=lerobot: images as lossless videos, not as PNG."
)


def main(argv: Sequence[str]) -> None:
    """Exports and prints a summary."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # TensorFlow reserves a whole GPU.
    out = pathlib.Path(_OUT.value)
    with cli.bad_input():
        source = _source(argv)
        if _VIDEO.value and _FORMAT.value != "lerobot":
            raise ValueError("--video is of --format=lerobot; leave it out")
        if _FORMAT.value in exchange.FORMATS:
            _check_no_skills()
            options = {"video": True} if _VIDEO.value else {}
            episodes = exchange.module(_FORMAT.value).export(source, out, **options)
            what = f"{episodes} episodes"
        elif _FORMAT.value == _SAVED_MODEL:
            what = _export_saved_model(source, out)
        else:
            what = _export_run(source, out)
    paths = [path for path in (out, *out.rglob("*")) if path.is_file()]
    size = sum(path.stat().st_size for path in paths)
    print(f"{what}: {out}, {size / 1e6:.1f} MB")


def _source(argv: Sequence[str]) -> str:
    if (len(argv) > 1) == (_WORKDIR.value is not None):
        raise ValueError(
            "what to export? give one argument, as python -m launchers.export WORKDIR, "
            "or --workdir"
        )
    return argv[1] if len(argv) > 1 else _WORKDIR.value


def _check_no_skills() -> None:
    if _SKILLS.value is not None:
        raise ValueError("--skills is of a run; leave it out")


def _export_run(workdir: str, out: pathlib.Path) -> str:
    from launchers.experiments import record

    config = record.load_config(workdir, _SKILLS.value)
    steps = record.export(config, out, copy_skills=not _SKILLS.value)
    return f"{config.agent} of {steps} learner steps"


def _export_saved_model(source: str, out: pathlib.Path) -> str:
    from launchers.experiments import saved_policy

    if saved_policy.is_bundle(source):
        _check_no_skills()
        return saved_policy.export_bundle(source, out)
    return saved_policy.export_run(source, _SKILLS.value, out)


if __name__ == "__main__":
    cli.run(main, arguments=1)
