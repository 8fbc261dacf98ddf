"""Does a run's critic predict episodes that it has not seen?

    python -m benchmarks.critic --workdir=RUN --episodes=24

Runs new episodes of a run's newest policy (a work directory of train_agent) and
compares the critic's value of each decision with what came of it. The error of the
learner's n-step target on new episodes, beside that on replay, tells whether the critic
has learned its replay by heart. The correlation of values and returns within a quarter
of an episode tells what the critic knows beyond the time that has passed. The last line
is one JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from absl import flags

from benchmarks import critic_predictions
from launchers.common import cli
from launchers.experiments import record
from launchers.experiments.config import make_experiment
from launchers.inspection.report import table

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Directory of a train_agent run.", required=True
)
_EPISODES = flags.DEFINE_integer("episodes", 24, "Number of new episodes.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the episodes and of all draws.")


def main(argv: Sequence[str]) -> None:
    """Runs the episodes and prints the table."""
    del argv
    with cli.bad_input():
        if _EPISODES.value < 1:
            raise ValueError(f"--episodes is {_EPISODES.value}; valid: 1 or more")
        experiment = make_experiment(record.load_config(_WORKDIR.value))
        predictions = critic_predictions.run(experiment, _EPISODES.value, _SEED.value)
    summary = critic_predictions.summarize(predictions)
    summary["replay_error"] = critic_predictions.replay_error(_WORKDIR.value)
    names = ("error", "value", "return", "correlation")
    parts = [*summary["quarters"], summary]
    labels = [*(f"quarter {i + 1}" for i in range(critic_predictions.QUARTERS)), "all"]
    cells = [
        [label, *(f"{part[name]:.2f}" for name in names)]
        for label, part in zip(labels, parts, strict=True)
    ]
    print("\n".join(table(["decisions", *names], cells)))
    if summary["replay_error"] is not None:
        print(f"error on replay {summary['replay_error']:.2f}")
    print(json.dumps({**summary, "episodes": len(predictions)}))


if __name__ == "__main__":
    cli.run(main)
