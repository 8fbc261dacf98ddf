"""Exports a trained agent as one small, portable directory.

python -m launchers.export --workdir=DIR --out=DIR

It holds the run's settings, policy and skill bundle. `launchers.evaluate` and
`launchers.collect --expert=checkpoint:` take it as they take the run's own directory;
training cannot resume from it.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from absl import flags

from launchers.common import cli

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Directory of a train_agent run.", required=True
)
_OUT = flags.DEFINE_string("out", None, "Directory to make.", required=True)
_SKILLS = flags.DEFINE_string(
    "skills", None, "Refer to the bundle here, relative to --out, and copy none."
)


def main(argv: Sequence[str]) -> None:
    """Exports the agent and prints a summary."""
    del argv
    from launchers.experiments import record

    out = pathlib.Path(_OUT.value)
    with cli.bad_input():
        config = record.load_config(_WORKDIR.value, _SKILLS.value)
        steps = record.export(config, out, copy_skills=not _SKILLS.value)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{config.agent} of {steps} learner steps: {out}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    cli.run(main)
