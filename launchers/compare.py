"""Compares RL runs: learning curves, final results and the settings that differ.

python -m launchers.compare WORKDIR... --out=DIR

Takes work directories of train_agent, and those of `train_agent --seeds`. Runs that
differ in the seed only make a group. Writes DIR/comparison.html, which opens offline,
with its figures and numbers beside it. The last line is one JSON object, with an entry
per group.
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from launchers.common import cli
from launchers.comparison import page

_OUT = flags.DEFINE_string("out", None, "Directory of the page, figures and numbers.")


def main(argv: Sequence[str]) -> None:
    """Compares and prints."""
    with cli.bad_input():
        if len(argv) < 2:
            raise ValueError(
                "which runs? python -m launchers.compare WORKDIR... --out=DIR"
            )
        if not _OUT.value:
            raise ValueError("--out is required")
        summaries = page.compare(argv[1:], _OUT.value)
    for line in page.lines(summaries):
        print(line)
    print(f"the comparison is {pathlib.Path(_OUT.value) / page.PAGE}")
    print(json.dumps(summaries))


if __name__ == "__main__":
    cli.run(main, arguments=sys.maxsize)
