"""What can RL over frozen skills reach if it uses them as the data do?

    python -m benchmarks.ceiling --skills=WORKDIR/skills --dataset=DIR

Distils a categorical high level without look-ahead from the bundle's posterior, writes
it into the bundle (for `launchers.train_agent --high_level=distilled`), and runs it:
greedily and by draws, with skills held for each of --skill_steps. The last line is one
JSON object: `greedy_1`, `sampled_5` and so on have `success`, `low`, `high` (95 %
Wilson interval) and `return` (staged-sparse).

Where the data set has several tasks or object sets, the high level observes them
(`datasets.rlds.recipes.context`), the episodes take them in turns, and each entry has
`by_task` and `by_object_set` too.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import tempfile
from collections.abc import Sequence

from absl import flags

from agents.high_level.distillation import DistillationConfig
from environments import EnvironmentConfig, scene
from launchers.analysis import ceiling, exploration, models
from launchers.analysis.config import LATENTS
from launchers.common import cli, environment_flags, workers
from launchers.inspection.report import table as text_table

_SKILLS = flags.DEFINE_string(
    "skills", None, "Directory of the bundle of helms.", required=True
)
_DATASET = flags.DEFINE_string("dataset", None, "Data set to distil on.", required=True)
_EPISODES = flags.DEFINE_integer("episodes", 100, "Episodes of each way to act.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the distillation and the episodes.")
_SKILL_STEPS = cli.define_skill_steps()
_LATENT = flags.DEFINE_string("latent", "mean", f"z: {' or '.join(LATENTS)}.")
_ENVIRONMENT = environment_flags.define(
    EnvironmentConfig.paper(),
    "task",
    "object_set",
    "domain_randomization",
    "max_action_delay",
)
_STEPS = flags.DEFINE_integer("steps", 6000, "Steps of the distillation.")
_PROCESSES = flags.DEFINE_integer("processes", 1, "Processes that run episodes.")
_OUT = flags.DEFINE_string(
    "out", None, "Directory that keeps the episodes, to continue from."
)


def main(argv: Sequence[str]) -> None:
    """Distils, runs the episodes and prints the table."""
    del argv
    with cli.bad_input():
        scene.one_of("latent", _LATENT.value, LATENTS)
        if _PROCESSES.value < 1:
            raise ValueError(f"--processes is {_PROCESSES.value}; valid: 1 or more")
        config = ceiling.CeilingConfig(
            setting=exploration.Setting(_ENVIRONMENT(), _SEED.value),
            episodes=_EPISODES.value,
            skill_steps=cli.skill_steps(_SKILL_STEPS),
            sample_latent=_LATENT.value == "sampled",
            distillation=DistillationConfig(steps=_STEPS.value, seed=_SEED.value),
        )
        skills = models.load(_SKILLS.value)
        if models.name(skills) != "helms":
            raise ValueError(
                f"{_SKILLS.value} is a bundle of {models.name(skills)}, not of helms"
            )
        setting = ceiling.in_turns(config.setting, _DATASET.value)
        if setting.combinations and any(
            flags.FLAGS[name].present for name in ("task", "object_set")
        ):
            raise ValueError(
                f"data set {_DATASET.value} has {len(setting.combinations)} tasks and "
                "object sets, which the episodes have in turns; leave out --task and "
                "--object_set"
            )
        config = dataclasses.replace(config, setting=setting)
        if _OUT.value:
            ceiling.check(pathlib.Path(_OUT.value), config.setting)
        said = ceiling.distil(skills, _DATASET.value, config.distillation)
        print(ceiling.agreement_line(said))
    with tempfile.TemporaryDirectory() as temporary:
        out = pathlib.Path(_OUT.value or temporary)
        out.mkdir(parents=True, exist_ok=True)
        with cli.bad_input(), workers.Workers(_PROCESSES.value) as pool:
            run_jobs = functools.partial(pool.run, exploration.run, title="ceiling")
            rows = ceiling.measure(out, _SKILLS.value, skills, config, run_jobs)
    for head, *cells in ceiling.tables(rows):
        print("\n".join(text_table(head, cells)))
    keys = ("success", "low", "high", "return", "by_task", "by_object_set")
    result = {
        f"{row['high_level']}_{row['skill_steps']}": {
            key: row[key] for key in keys if key in row
        }
        for row in rows
    }
    result |= {"agreement": said["agreement"], "cross_entropy": said["cross_entropy"]}
    print(json.dumps({**result, "episodes": config.episodes}))


if __name__ == "__main__":
    cli.run(main)
