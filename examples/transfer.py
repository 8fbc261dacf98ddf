"""Transfers skills by RL in one process: HeLMS-cat on objects that they never saw.

python -m examples.transfer --object_set=1 --steps=40000 --workdir=runs/transfer
"""

import argparse

from agents import scales
from agents.helms_cat.config import HelmsCatConfig
from environments import EnvironmentConfig
from launchers.common import cli
from launchers.experiments.config import Budget, RunConfig
from launchers.transfer import training


def transfer(object_set: int, steps: int, episodes: int, workdir: str) -> None:
    """Trains for so many control steps; evaluates before and after."""
    config = RunConfig(
        agent="helms_cat",
        skills="pretrained/helms_red_on_blue",
        workdir=workdir,
        environment=EnvironmentConfig.paper(object_set=object_set),
        agent_config=HelmsCatConfig(
            **scales.settings("laptop", "helms_cat"), high_level="distilled"
        ),
        budget=Budget(max_actor_steps=steps, eval_every=steps, eval_episodes=episodes),
    )
    summary = training.train(config)  # or launch="local_mp", num_actors=4
    print(training.describe(summary))
    print(f"python -m launchers.evaluate --workdir={workdir} --video={workdir}/now.mp4")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--object_set", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40_000, help="of the actor")
    parser.add_argument("--episodes", type=int, default=10, help="to evaluate")
    parser.add_argument("--workdir", default="runs/transfer")
    with cli.bad_input():
        transfer(**vars(parser.parse_args()))
