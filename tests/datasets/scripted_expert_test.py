"""The scripted expert follows what its environment changes to."""

import numpy as np

import environments
from datasets import scripted_expert

SEED = 3


def actions(environment, expert, steps=15):
    environment.seed_episode(SEED)
    timestep = environment.reset()
    expert.reset(SEED)
    taken = []
    for _ in range(steps):
        taken.append(expert.step(timestep))
        timestep = environment.step(taken[-1])
    return np.stack(taken)


def test_an_expert_follows_the_task_and_the_objects_of_the_episode():
    changing = environments.make(seed=0)
    expert = scripted_expert.ScriptedExpert(changing)
    before = actions(changing, expert)
    changing.set_task("stack_green_red")
    changing.set_objects(2)
    fixed = environments.make(task="stack_green_red", object_set=2, seed=0)
    expected = actions(fixed, scripted_expert.ScriptedExpert(fixed))
    np.testing.assert_array_equal(actions(changing, expert), expected)
    assert not np.array_equal(before, expected)
