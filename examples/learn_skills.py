"""Learns skills: an expert's episodes become a data set, the data set becomes skills.

python -m examples.learn_skills --episodes=40 --steps=800 --out=runs/learn

Skills that stack come from 500 episodes and 8,000 steps: see pretrained/README.md.
"""

import argparse

from agents import registry
from agents.helms.config import HelmsConfig
from datasets.collection.collect import collect
from datasets.rlds.schema import Settings
from environments import EnvironmentConfig
from launchers.common import cli
from launchers.skills import report, training


def learn(episodes: int = 20, steps: int = 200, out: str = "runs/learn") -> None:
    """Writes OUT/data (RLDS) and OUT/skills; prints what the skills are."""
    settings = Settings(
        # randomised physics, delayed actions; see EnvironmentConfig for the rest
        environment=EnvironmentConfig.paper(task="stack_red_blue", object_set=4),
        expert="scripted",
        episodes=episodes,
    )
    manifest = collect(f"{out}/data", settings)
    print(f"{manifest['successes']} of {episodes} episodes succeed")

    summary = training.train(
        "helms",
        dataset=f"{out}/data",
        workdir=f"{out}/skills",
        config=HelmsConfig(num_skills=5, batch_size=32, learning_rate=5e-4),
        options=training.TrainingOptions(steps=steps, evaluate_every=steps),
    )
    print(report.describe(summary))

    skills = registry.load_bundle(f"{out}/skills/skills")
    print("p(y_t | y_t-1), a row for each y_t-1:")
    print(skills.transition_matrix().numpy().round(2))
    print(f"the same as a picture: {out}/skills/skills.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--steps", type=int, default=200, help="of the learner")
    parser.add_argument("--out", default="runs/learn", help="directory")
    with cli.bad_input():
        learn(**vars(parser.parse_args()))
