"""Evaluates a trained agent.

python -m launchers.evaluate --workdir=DIR --episodes=N [--video=FILE]

The last line printed is one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from launchers.common import cli, plugins

if __name__ == "__main__":  # before flags list what it registers
    plugins.import_for_command(sys.argv)

_WORKDIR = flags.DEFINE_string("workdir", None, "Directory of a train_agent run.")
_EPISODES = flags.DEFINE_integer("episodes", 10, "How many episodes.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the episodes and of the policy's draws.")
_SKILLS = flags.DEFINE_string(
    "skills", None, "Where the skill bundle is now, if it was moved."
)
_UNTRAINED = flags.DEFINE_bool(
    "untrained", False, "Evaluate a new high level over the skills, not the checkpoint."
)
_VIDEO = flags.DEFINE_string(
    "video", None, "Write the first episode here: .mp4, .gif, or .png of eight images."
)


def main(argv: Sequence[str]) -> None:
    """Evaluates and prints the results."""
    del argv
    with cli.bad_input():
        if not _WORKDIR.value:
            raise ValueError("--workdir is required")
        from launchers.experiments import evaluation, record

        config = record.load_config(_WORKDIR.value, _SKILLS.value)
        result = evaluation.evaluate(
            config,
            _EPISODES.value,
            _SEED.value,
            _UNTRAINED.value,
            _VIDEO.value,
            progress=True,
        )
    if _VIDEO.value and result["video"] is None:
        print(f"no video: {result['video_error']}", file=sys.stderr)
    print(
        f"return {result['return_mean']:.2f} +- {result['return_interval']:.2f} "
        f"({result['episodes']} episodes, 95 %)"
    )
    if "success_rate" not in result:
        print("success unknown: the environment does not tell")
    else:
        print(_success(result))
    print(json.dumps(result))


def _success(result: Mapping[str, Any]) -> str:
    return (
        f"success {100 * result['success_rate']:.0f} % "
        f"({100 * result['success_low']:.0f} to {100 * result['success_high']:.0f} %)"
    )


if __name__ == "__main__":
    cli.run(main)
