"""The scripted expert follows what its environment changes to."""

import dataclasses

import numpy as np

import environments
from datasets import scripted_expert

SEED = 3
STACK = list(scripted_expert.PHASES[: scripted_expert.PHASES.index("done") + 1])


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


def test_what_it_intends_is_its_action_without_the_noise():
    environment = environments.make(seed=0)
    expert = scripted_expert.ScriptedExpert(environment)
    environment.seed_episode(SEED)
    timestep = environment.reset()
    differences = []
    for noise in (0.0, 0.3):
        expert.reset(SEED)
        expert._style = dataclasses.replace(expert._style, noise=noise)
        differences.append(expert.step(timestep) - expert.intended)
        assert expert.intended.dtype == np.float32
    assert not differences[0].any() and differences[1][:4].any()


def run(task, object_set, seed):
    """The phases that an episode had, in order, and whether it succeeded."""
    environment = environments.make(task=task, object_set=object_set)
    expert = scripted_expert.ScriptedExpert(environment)
    environment.seed_episode(seed)
    timestep = environment.reset()
    expert.reset(seed)
    phases = []
    while not timestep.last():
        timestep = environment.step(expert.step(timestep))
        name = expert.PHASES[expert.phase]
        if phases[-1:] != [name]:
            phases.append(name)
    return phases, environment.success()


def test_it_stacks():
    phases, success = run("stack_red_blue", 4, seed=2)
    assert success
    assert phases == STACK


def test_it_takes_up_again_what_it_lost():
    phases, success = run("stack_red_blue", 4, seed=1)
    assert success
    assert phases.count("grasp") > 1


def test_it_topples_a_bottom_object_that_cannot_carry():
    phases, success = run("stack_red_blue", 2, seed=3004)
    assert success
    assert phases == ["go_behind", "push", "retreat", *STACK]
