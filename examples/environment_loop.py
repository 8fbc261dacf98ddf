"""Steps the environment: what it observes, what an expert does in it, how it ends.

python -m examples.environment_loop
python -m examples.environment_loop --expert=random --picture=runs/scene.png
"""

import argparse
import pathlib

import imageio.v2 as imageio

import environments
from datasets import experts
from launchers.common import cli


def run_episode(
    task: str = "stack_red_blue", expert: str = "scripted", picture: str | None = None
) -> None:
    """Runs an episode and prints its return and success."""
    environment = environments.make(
        task=task,
        reward="staged_sparse",
        object_set=4,
        domain_randomization=True,  # draws the physics anew for each episode
        max_action_delay=2,  # control steps
        seed=0,
    )
    policy = experts.factory(expert, task)(environment)
    for name, spec in environment.observation_spec().items():
        print(f"{name:24} {spec.dtype} {spec.shape}")
    print("action:", environment.action_spec())

    timestep, total = environment.reset(), 0.0
    policy.reset(seed=0)
    while not timestep.last():
        action = policy.step(timestep)  # put your own policy here
        timestep = environment.step(action)
        total += timestep.reward
    drawn = environment.episode_info()
    print(f"object set 4, an action delay of {drawn['action_delay']} control steps")
    print(f"return {total:.1f}, success: {environment.success()}")

    if picture:  # needs EGL or OSMesa, as nothing above does
        pathlib.Path(picture).parent.mkdir(parents=True, exist_ok=True)
        imageio.imwrite(picture, environment.render(height=240, width=320))
        print("the last image is in", picture)
    environment.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", default="stack_red_blue")
    parser.add_argument("--expert", default="scripted", help="scripted or random")
    parser.add_argument("--picture", help="file of the last image")
    with cli.bad_input():
        run_episode(**vars(parser.parse_args()))
