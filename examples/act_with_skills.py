"""Acts with frozen skills: a high level picks a skill, the skill moves the arm.

python -m examples.act_with_skills --object_set=3 --picture=runs/act.png
"""

import argparse
import pathlib

import tensorflow as tf

import environments
from agents import registry
from agents.high_level import distillation
from launchers.common import cli, figures


def act(
    skills: str = "pretrained/helms_red_on_blue",
    object_set: int = 4,
    picture: str | None = None,
) -> None:
    """Runs an episode; prints, and draws, the skill of each control step."""
    frozen = registry.load_bundle(skills, model="helms")
    high_level = distillation.load(frozen)  # pi(y | x), without look-ahead
    # grouped: "proprio", which the low level reads, and "objects"
    environment = environments.make(object_set=object_set, grouped=True, seed=0)

    @tf.function
    def decide(observation):
        skill = tf.argmax(high_level(observation), axis=-1, output_type=tf.int32)
        return skill, frozen.decode(skill, observation)  # [1], [1, 5]

    timestep, total, used, images = environment.reset(), 0.0, [], []
    while not timestep.last():
        batch = {key: value[None] for key, value in timestep.observation.items()}
        skill, action = decide(batch)
        timestep = environment.step(action[0].numpy())
        total += timestep.reward
        used.append(int(skill[0]))
        if picture and len(used) % 80 == 0:
            images.append(environment.render(height=180, width=240))
    print("a skill every 5 control steps:", *used[::5])
    print(f"return {total:.1f}, success: {environment.success()}")
    environment.close()

    if picture:
        figure = figures.make(10, 3.4)
        axes = figure.subplot_mosaic(
            [list(range(len(images))), ["skills"] * len(images)],
            height_ratios=[3, 1],
        )
        for i, image in enumerate(images):
            axes[i].imshow(image)
            axes[i].set(title=f"{4 * (i + 1)} s", xticks=[], yticks=[])
        axes["skills"].step([0.05 * step for step in range(len(used))], used)
        axes["skills"].set(
            xlabel="seconds", ylabel="skill", yticks=range(frozen.num_skills)
        )
        figures.save(pathlib.Path(picture), figure, dpi=80)
        print("images and skills are in", picture)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--skills", default="pretrained/helms_red_on_blue")
    parser.add_argument("--object_set", type=int, default=4)
    parser.add_argument("--picture", help="file of images and skills")
    with cli.bad_input():
        act(**vars(parser.parse_args()))
