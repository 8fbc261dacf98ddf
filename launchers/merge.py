"""Joins data sets into one.

python -m launchers.merge A B [C ...] --out=DIR
python -m launchers.merge A B --out=DIR --where=success

The data sets must have the same features. `manifest.json` of the new one records its
parts, and of every episode the part that it is from.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from absl import flags

from datasets.exchange import merge
from launchers.common import cli

_MOST = 1000  # data sets

_OUT = flags.DEFINE_string("out", None, "Directory to make.", required=True)
_WHERE = flags.DEFINE_string(
    "where",
    None,
    f"Which episodes: {', '.join(merge.WHERE)}; all by default. With it, a single data "
    "set will do.",
)


def main(argv: Sequence[str]) -> None:
    """Merges the data sets and prints a line for each part and one for the whole."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # TensorFlow reserves a whole GPU.
    with cli.bad_input():
        manifest = merge.merge(argv[1:], pathlib.Path(_OUT.value), _WHERE.value)
    for part in manifest["parts"]:
        print(f"{part['directory']}: {part['episodes']} of {part['of']} episodes")
    print(
        f"{_OUT.value}: {manifest['episodes']} episodes, "
        f"{manifest['control_steps']} control steps, {manifest['bytes'] / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    cli.run(main, arguments=_MOST)
