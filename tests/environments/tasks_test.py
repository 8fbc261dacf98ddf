"""What every task keeps to, the pyramid's nine stages, and its goal on real physics."""

import numpy as np
import pytest

import environments
from environments import initializers, rewards, tasks
from environments.contacts import Contacts

EVERY = [(name, kind) for name in tasks.TASKS for kind in tasks.REWARDS]
STAGES = {"stack": 5, "pyramid": 9, "lift": 2, "reach": 1}


def state(pinch, red, blue, grasp=1, touching=(), adjacent=(), green=(0.65, 0.0, 0.07)):
    positions = {"red": red, "green": green, "blue": blue}
    both = [
        frozenset(pairs) | {(b, a) for a, b in pairs} for pairs in (touching, adjacent)
    ]
    return rewards.State(
        pinch=np.array(pinch),
        objects={name: np.array(p) for name, p in positions.items()},
        finger=0.0,
        grasp=grasp,
        contacts=Contacts(*both),
    )


def random_states(count=200):
    rng = np.random.default_rng(0)
    for _ in range(count):
        positions = rng.uniform([0.5, -0.1, 0.05], [0.7, 0.1, 0.2], (4, 3))
        pinch, red, blue, green = positions
        yield state(pinch, red, blue, green=green, grasp=int(rng.integers(1, 4)))


def test_the_registered_tasks():
    assert list(tasks.TASKS) == [
        "stack_red_green",
        "stack_red_blue",
        "stack_green_red",
        "stack_green_blue",
        "stack_blue_red",
        "stack_blue_green",
        "pyramid",
        "lift_red",
        "lift_green",
        "lift_blue",
        "reach_red",
        "reach_green",
        "reach_blue",
    ]
    assert tasks.TASKS["stack_green_blue"].pair == ("green", "blue")
    assert [n for n, t in tasks.TASKS.items() if t.pair] == list(tasks.TASKS)[:6]


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_rewards_are_pure_and_within_0_and_1(name, kind):
    task = tasks.TASKS[name]
    for s in random_states():
        value = task.reward(kind, s)
        assert 0.0 <= value <= 1.0
        assert task.reward(kind, s._replace(contacts=None)) == value
        if kind == "sparse":
            assert value in (0.0, 1.0)
        if kind == "staged_sparse":
            stages = value * STAGES[name.split("_")[0]]
            assert stages == pytest.approx(round(stages), abs=1e-12)
        assert task.success(s) in (True, False)


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_an_environment_of_every_task_keeps_to_its_specs(name, kind):
    environment = environments.make(task=name, reward=kind, seed=0)
    first = environment.reset()
    assert first.reward is None
    timestep = environment.step(np.array([0, 0, -1, 0, -1], np.float32))
    assert timestep.reward == environment.reward_spec().validate(timestep.reward)
    assert timestep.reward.dtype == np.float32
    assert environment.task is tasks.TASKS[name]
    assert environment.success() in (True, False)
    for key, spec in environment.observation_spec().items():
        spec.validate(timestep.observation[key])


AWAY, RED, BLUE = (0.7, 0.1, 0.25), (0.5, 0.1, 0.07), (0.6, -0.1, 0.07)
BESIDE = (0.59, 0.0, 0.07)  # 6 cm from green
MIDWAY = (0.62, 0.0, 0.115)

PYRAMID = [
    state(pinch=AWAY, red=RED, blue=BLUE),
    state(pinch=RED, red=RED, blue=BLUE, grasp=2),
    state(pinch=(0.6, 0.05, 0.16), red=(0.6, 0.05, 0.16), blue=BLUE, grasp=2),
    state(pinch=(0.59, 0, 0.11), red=(0.59, 0, 0.11), blue=BLUE, grasp=2),
    state(pinch=BESIDE, red=BESIDE, blue=BLUE),
    state(pinch=BLUE, red=BESIDE, blue=BLUE, grasp=2),
    state(pinch=(0.6, -0.05, 0.17), red=BESIDE, blue=(0.6, -0.05, 0.17), grasp=2),
    state(pinch=MIDWAY, red=BESIDE, blue=MIDWAY, grasp=2),
    state(pinch=MIDWAY, red=BESIDE, blue=MIDWAY),
    state(pinch=(0.7, 0.1, 0.215), red=BESIDE, blue=MIDWAY),
]


@pytest.mark.parametrize("stage", range(10))
def test_each_stage_of_the_pyramid_is_worth_a_ninth(stage):
    task = tasks.TASKS["pyramid"]
    assert task.reward("staged_sparse", PYRAMID[stage]) == pytest.approx(stage / 9)
    assert task.reward("sparse", PYRAMID[stage]) == float(stage >= 8)


def test_the_dense_pyramid_grows_from_stage_to_stage():
    task = tasks.TASKS["pyramid"]
    values = [task.reward("dense", s) for s in PYRAMID]
    assert values[0] < 0.1 / 9
    assert np.all(np.diff(values) > 0.0)
    assert values[9] == 1.0
    # Blue counts once red is placed: the tool beside it does not skip four stages.
    early = state(pinch=BLUE, red=RED, blue=BLUE, grasp=2)
    assert task.reward("dense", early) < 1 / 9
    # As the paper has the staged sparse reward, it does there.
    assert task.reward("staged_sparse", early) == pytest.approx(5 / 9)


STACK = [
    state(pinch=AWAY, red=RED, blue=BLUE),
    state(pinch=RED, red=RED, blue=BLUE, grasp=2),
    state(pinch=(0.6, 0.05, 0.16), red=(0.6, 0.05, 0.16), blue=BLUE, grasp=2),
    state(pinch=(0.6, -0.1, 0.11), red=(0.6, -0.1, 0.11), blue=BLUE, grasp=2),
    state(pinch=(0.6, -0.1, 0.11), red=(0.6, -0.1, 0.11), blue=BLUE),
    state(pinch=(0.7, 0.1, 0.21), red=(0.6, -0.1, 0.11), blue=BLUE),
]


@pytest.mark.parametrize("stage", range(6))
def test_each_stage_of_a_stack_is_worth_a_fifth(stage):
    task = tasks.TASKS["stack_red_blue"]
    assert task.reward("staged_sparse", STACK[stage]) == pytest.approx(stage / 5)
    assert task.reward("sparse", STACK[stage]) == float(stage >= 4)
    assert tasks.TASKS["stack_blue_red"].reward("sparse", STACK[stage]) == 0.0


@pytest.mark.parametrize(
    ("name", "s", "expected"),
    [
        ("lift_red", STACK[0], [0.0, 0.0]),
        ("lift_red", STACK[1], [0.5, 0.0]),
        ("lift_red", STACK[2], [1.0, 1.0]),
        ("lift_red", STACK[2]._replace(grasp=1), [0.0, 0.0]),
        ("reach_red", STACK[0], [0.0, 0.0]),
        ("reach_red", state((0.5, 0.1, 0.0899), RED, BLUE), [1.0, 1.0]),
        ("reach_red", state((0.5, 0.1, 0.0903), RED, BLUE), [0.0, 0.0]),
    ],
)
def test_lift_and_reach(name, s, expected):
    task = tasks.TASKS[name]
    assert [task.reward(kind, s) for kind in tasks.REWARDS[1:]] == expected


ON_BLUE = [("red", "blue"), ("blue", "elsewhere")]


@pytest.mark.parametrize(
    ("red", "touching", "expected"),
    [
        ((0.6, -0.0501, 0.0901), ON_BLUE, True),
        ((0.6, -0.0499, 0.11), ON_BLUE, False),
        ((0.6, -0.1, 0.0899), ON_BLUE, False),
        ((0.6, -0.1, 0.11), [("blue", "elsewhere")], False),
        ((0.6, -0.1, 0.11), [*ON_BLUE, ("red", "robot")], False),
        ((0.6, -0.1, 0.11), [*ON_BLUE, ("elsewhere", "red")], False),
        ((0.6, -0.1, 0.11), [*ON_BLUE, ("blue", "robot"), ("red", "green")], True),
    ],
)
def test_success_of_a_stack(red, touching, expected):
    s = state(AWAY, red, BLUE, touching=touching, adjacent=[("red", "blue")])
    assert tasks.TASKS["stack_red_blue"].success(s) is expected
    assert tasks.TASKS["stack_blue_red"].success(s) is False


BOTH = [("blue", "red"), ("blue", "green")]


@pytest.mark.parametrize(
    ("blue", "touching", "adjacent", "expected"),
    [
        (MIDWAY, [], BOTH, True),
        ((0.62, 0.0499, 0.0901), BOTH, BOTH, True),
        ((0.62, 0.0501, 0.115), BOTH, BOTH, False),
        ((0.62, 0.0, 0.0899), BOTH, BOTH, False),
        (MIDWAY, BOTH, BOTH[:1], False),
        (MIDWAY, BOTH, BOTH[1:], False),
        (MIDWAY, [*BOTH, ("robot", "blue")], BOTH, False),
        (MIDWAY, [*BOTH, ("blue", "elsewhere")], BOTH, False),
    ],
)
def test_success_of_the_pyramid(blue, touching, adjacent, expected):
    s = state(AWAY, BESIDE, blue, touching=touching, adjacent=adjacent)
    assert tasks.TASKS["pyramid"].success(s) is expected


@pytest.mark.parametrize(
    ("touching", "expected"),
    [
        ([("red", "robot")], True),
        ([], False),
        ([("red", "robot"), ("red", "elsewhere")], False),
    ],
)
def test_success_of_lift(touching, expected):
    up = (0.6, 0.05, 0.16)
    s = state(up, up, BLUE, grasp=2, touching=touching)
    assert tasks.TASKS["lift_red"].success(s) is expected
    assert tasks.TASKS["lift_red"].success(s._replace(grasp=1)) is False


def test_success_without_contacts_says_so():
    s = STACK[5]._replace(contacts=None)
    with pytest.raises(ValueError, match="contacts"):
        tasks.TASKS["stack_red_blue"].success(s)


FLAT = (1, 0, 0, 0)
ALONG_X, ALONG_Y = (0.5**0.5, 0, 0.5**0.5, 0), (0.5**0.5, 0.5**0.5, 0, 0)  # its z axis

# Where red, green and blue are let fall: a few millimetres over where they rest.
REST = {
    2: [((0.565, 0, 0.08), FLAT), ((0.635, 0, 0.08), FLAT), ((0.6, 0, 0.13), ALONG_X)],
    4: [((0.565, 0, 0.08), FLAT), ((0.635, 0, 0.08), FLAT), ((0.6, 0, 0.12), ALONG_X)],
    5: [((0.565, 0, 0.08), FLAT), ((0.63, 0, 0.08), ALONG_Y), ((0.6, 0, 0.134), FLAT)],
}


@pytest.mark.parametrize("object_set", REST)
def test_a_pyramid_stands(object_set):
    environment = environments.make(task="pyramid", object_set=object_set, seed=0)
    environment.reset()
    assert not environment.success()
    model, data = environment.physics
    scene = environment.scene
    for address, (position, rotation) in zip(
        scene.object_qpos, REST[object_set], strict=True
    ):
        data.qpos[address : address + 7] = [*position, *rotation]
    initializers.place_tool(model, data, scene, np.array([0.6, 0.0, 0.215]), 0.0)
    data.qvel[:] = 0.0
    still = np.array([0, 0, 0, 0, -1], np.float32)
    for _ in range(20):
        timestep = environment.step(still)
    kept = []
    for _ in range(10):
        timestep = environment.step(still)
        kept.append((float(timestep.reward), environment.success()))
    assert kept == [(1.0, True)] * 10
    data.qpos[scene.object_qpos[2] + 2] += 0.02  # in the air
    environment.step(still)
    assert not environment.success()


def test_an_environment_changes_its_task_between_episodes():
    def reward_and_success(environment):
        environment.seed_episode(3)
        environment.reset()
        timestep = environment.step(np.zeros(5, np.float32))
        return timestep.reward, environment.success()

    changing = environments.make(task="reach_red", reward="dense", seed=0)
    before = reward_and_success(changing)
    changing.set_task("lift_green")
    assert changing.task is tasks.TASKS["reach_red"]  # until the next reset
    fixed = environments.make(task="lift_green", reward="dense", seed=1)
    expected = reward_and_success(fixed)
    assert reward_and_success(changing) == expected != before
    assert changing.task is tasks.TASKS["lift_green"]
    with pytest.raises(ValueError, match="unknown task 'juggle'; valid: stack_red_"):
        changing.set_task("juggle")
