"""Shows what learned skills do: rollouts of each, and the transition prior.

python -m launchers.analyse_skills --skills=WORKDIR/skills --out=DIR

Writes DIR/skill_rollouts.png (a row a skill; needs OpenGL), DIR/skills.png (the
transition prior and each skill's use) and DIR/skill_rollouts.json, and prints a table.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import tqdm
from absl import flags

from launchers import command, files

_SKILLS = flags.DEFINE_string(
    "skills", None, "Directory of the frozen skills.", required=True
)
_OUT = flags.DEFINE_string("out", None, "Directory of the results.", required=True)
_OBJECT_SET = command.define_object_set()
_EPISODES = flags.DEFINE_integer("episodes", 3, "Rollouts a skill.")
_STEPS = flags.DEFINE_integer("steps", 200, "Control steps a rollout, at most 400.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the initial states, the same a skill.")

_FRAMES = 6


def analyse(
    skills_directory: str | os.PathLike[str],
    out: str | os.PathLike[str],
    object_set: int | str = 4,
    episodes: int = 3,
    steps: int = 200,
    seed: int = 0,
) -> str:
    """Rolls every skill out, writes the pictures and returns the table.

    Raises:
      ValueError: no bundle at `skills_directory`, or arguments out of range.
    """
    import environments
    from agents.helms import skills as skills_lib
    from environments import stacking
    from launchers import skill_figures, skill_rollouts

    if not 1 <= steps <= stacking.EPISODE_STEPS:
        raise ValueError(f"steps is {steps}; valid: 1 to {stacking.EPISODE_STEPS}")
    if episodes < 1:
        raise ValueError(f"episodes is {episodes}; valid: from 1")
    skills = skills_lib.load(skills_directory)
    environment = environments.make(object_set=object_set, seed=seed)
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    frames = _FRAMES if skill_rollouts.can_render(environment) else 0
    runner = skill_rollouts.SkillRunner(skills, environment)
    jobs = [(s, seed + e) for e in range(episodes) for s in range(skills.num_skills)]
    rollouts = [
        runner.run(skill, start, steps, frames if start == seed else 0)
        for skill, start in tqdm.tqdm(jobs, desc="rollouts", unit="episode")
    ]
    environment.close()
    if frames:
        skill_rollouts.write_contact_sheet(
            out / "skill_rollouts.png", rollouts[: skills.num_skills]
        )
    training = skills.description.get("training", {})
    use = training.get("skill_use", [0.0] * skills.num_skills)
    prior = skills.transition_matrix().numpy()
    skill_figures.write_figure(out / "skills.png", prior, use)
    measured = [
        {
            "skill": r.skill,
            "seed": r.seed,
            "tool_height": [float(r.tool_heights[0]), float(r.tool_heights[-1])],
            "fingers": float(r.fingers[-1]),
            "distances": [r.distances[0].tolist(), r.distances[-1].tolist()],
        }
        for r in rollouts
    ]
    files.write_json(out / "skill_rollouts.json", measured)
    return skill_rollouts.describe(rollouts)


def main(argv: Sequence[str]) -> None:
    """Analyses and prints the table."""
    del argv
    with command.bad_input():
        table = analyse(
            _SKILLS.value,
            _OUT.value,
            _OBJECT_SET.value,
            _EPISODES.value,
            _STEPS.value,
            _SEED.value,
        )
    print(table)
    print(f"pictures are in {_OUT.value}")


if __name__ == "__main__":
    command.run(main)
