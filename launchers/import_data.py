"""Imports a data set of another library as RLDS.

python -m launchers.import_data FILE.hdf5 --format=robomimic --out=DIR
python -m launchers.import_data DIR --format=lerobot --out=DIR

What `launchers.export` wrote becomes the data set that it was, with every number.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from absl import flags

from datasets import exchange
from launchers.common import cli

_FORMAT = flags.DEFINE_enum(
    "format", None, exchange.FORMATS, "Layout of the data set.", required=True
)
_OUT = flags.DEFINE_string("out", None, "Directory to make.", required=True)


def main(argv: Sequence[str]) -> None:
    """Imports the data set and prints a summary."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # TensorFlow reserves a whole GPU.
    with cli.bad_input():
        if len(argv) < 2:
            raise ValueError("which data set? python -m launchers.import_data PATH")
        form = exchange.module(_FORMAT.value)
        out = pathlib.Path(_OUT.value)
        manifest = form.import_data(pathlib.Path(argv[1]), out)
    print(
        f"{out}: {manifest['episodes']} episodes, {manifest['control_steps']} control "
        f"steps, {manifest['bytes'] / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    cli.run(main, arguments=1)
