"""Shows what learned skills do and how they explore: the paper's analyses.

python -m launchers.analyse_skills --skills=WORKDIR/skills --out=DIR
python -m launchers.analyse_skills --skills=D --bundles=D1,D2 --dataset=D3 --out=DIR
python -m launchers.analyse_skills --skills=D --dataset=D1 --environment=E --out=DIR

Writes DIR/report.html, which holds everything and opens offline; its figures, videos
and tables as separate files; and summary.json. Table 1 takes the longest: its finished
episodes are kept, and the same command resumes after an interruption. In an environment
from elsewhere, zero-shot returns take its place.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from absl import flags

from launchers.analysis import pipeline
from launchers.analysis.config import LATENTS, AnalysisConfig
from launchers.common import cli, environment_flags, plugins, workers

if __name__ == "__main__":  # before flags list what it registers
    plugins.import_for_command(sys.argv)

_DEFAULTS = AnalysisConfig(skills="", out="")

_SKILLS = flags.DEFINE_string(
    "skills", None, "Directory of the frozen bundle of any model.", required=True
)
_OUT = flags.DEFINE_string("out", None, "Directory of the results.", required=True)
_BUNDLES = flags.DEFINE_list(
    "bundles", [], "Directories of other models' bundles, for table 1 beside it."
)
_DATASET = flags.DEFINE_string(
    "dataset", None, "Data set whose held-out episodes are compared with its phases."
)
_DATASET_EPISODES = flags.DEFINE_integer(
    "dataset_episodes", _DEFAULTS.dataset_episodes, "Held-out episodes at most."
)
_EPISODES = flags.DEFINE_integer("episodes", _DEFAULTS.episodes, "Rollouts a skill.")
_STEPS = flags.DEFINE_integer(
    "steps", _DEFAULTS.steps, "Control steps a rollout, at most 400."
)
_LATENT = flags.DEFINE_string(
    "latent", _DEFAULTS.latent, f"z of the rollouts: {' or '.join(LATENTS)}."
)
_TABLE1_EPISODES = flags.DEFINE_integer(
    "table1_episodes",
    _DEFAULTS.table1_episodes,
    "Episodes an agent of table 1, or of the zero-shot returns in --environment; 0 "
    "leaves the table out.",
)
_CEILING_EPISODES = flags.DEFINE_integer(
    "ceiling_episodes",
    _DEFAULTS.ceiling_episodes,
    "Episodes a row of the ceiling, success of a high level that is distilled on the "
    "data set and kept in the bundle; 0 leaves it out.",
)
_SKILL_STEPS = cli.define_skill_steps()
_ENVIRONMENT = environment_flags.define(
    _DEFAULTS.environment,
    "task",
    "object_set",
    "domain_randomization",
    "max_action_delay",
    "preset",
    "environment",
    "proprio",
    "objects",
)
_PROCESSES = flags.DEFINE_integer(
    "processes", None, "Processes that run episodes; one a core by default."
)
_SEED = flags.DEFINE_integer("seed", _DEFAULTS.seed, "Of every draw.")


def _config() -> AnalysisConfig:
    processes = {} if _PROCESSES.value is None else {"processes": _PROCESSES.value}
    return AnalysisConfig(
        skills=_SKILLS.value,
        out=_OUT.value,
        bundles=tuple(_BUNDLES.value),
        dataset=_DATASET.value,
        dataset_episodes=_DATASET_EPISODES.value,
        episodes=_EPISODES.value,
        steps=_STEPS.value,
        latent=_LATENT.value,
        environment=_ENVIRONMENT(),
        table1_episodes=_TABLE1_EPISODES.value,
        ceiling_episodes=_CEILING_EPISODES.value,
        skill_steps=cli.skill_steps(_SKILL_STEPS),
        seed=_SEED.value,
        **processes,
    )


def main(argv: Sequence[str]) -> None:
    """Runs the analysis and prints a summary."""
    del argv
    # A scheduler's SIGTERM ends like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with cli.bad_input():
            config = _config()
            analysis = pipeline.Analysis(config)
        lines = analysis.run()
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        raise SystemExit(130) from None
    except workers.WorkerError as e:
        print(f"error: {e}; the same command continues", file=sys.stderr)
        raise SystemExit(1) from None
    print(lines)
    print(f"the report is {os.path.join(config.out, pipeline.REPORT_FILE)}")


if __name__ == "__main__":
    cli.run(main)
