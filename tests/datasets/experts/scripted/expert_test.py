"""The scripted expert acts by the state alone, and stacks from wherever it is."""

import numpy as np

import environments
from datasets.experts.scripted import expert as scripted_expert

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


def run(task="stack_red_blue", object_set=4, seed=SEED, on_step=lambda expert: None):
    """The phases that an episode had, in order, and whether it succeeded."""
    environment = environments.make(task=task, object_set=object_set)
    expert = scripted_expert.ScriptedExpert(environment)
    environment.seed_episode(seed)
    timestep = environment.reset()
    expert.reset(seed)
    phases: list = []
    while not timestep.last():
        action = expert.step(timestep)
        on_step(expert, action)
        timestep = environment.step(action)
        name = expert.PHASES[expert.phase]
        if phases[-1:] != [name]:
            phases.append(name)
    return phases, environment.success()


def test_what_it_intends_follows_from_the_state_and_not_from_the_past():
    compared: list = []

    def ask_another(expert, action):
        # One that begins here, with other noise.
        other = scripted_expert.ScriptedExpert(expert._environment)
        other.reset(len(compared))
        other.step(None)
        np.testing.assert_array_equal(other.intended, expert.intended)
        assert other.phase == expert.phase
        compared.append(not np.array_equal(action, expert.intended))

    run(on_step=ask_another)
    assert np.mean(compared) > 0.9  # and what is executed has the noise


def without_noise(expert, action):
    action[:] = expert.intended


def test_it_stacks_in_one_go_without_noise():
    phases, success = run(on_step=without_noise)
    assert success
    assert [p for p in phases if p in ("grasp", "release", "done")] == [
        "grasp",
        "release",
        "done",
    ]


def test_it_takes_up_again_what_it_lost():
    lost: list = []

    def lose(expert, action):
        action[:] = expert.intended
        carrying = expert.PHASES[expert.phase] == "carry"
        if (carrying and not lost) or 0 < len(lost) < 10:
            lost.append(True)
            action[4] = -1.0

    phases, success = run(on_step=lose)
    assert success
    assert phases.count("grasp") > 1
