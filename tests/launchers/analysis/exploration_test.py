"""Table 1: how it goes on, what it measures, and how its agents act."""

import dataclasses
import json

import dm_env
import numpy as np
import pytest
import tensorflow as tf
from acme import specs

import environments
from agents.helms_cat.builder import HelmsCatBuilder
from agents.helms_cat.config import HelmsCatConfig
from environments import (
    EnvironmentConfig,
    controller,
    observations,
    rewards,
    tasks,
    wrappers,
)
from launchers.analysis import exploration, exploration_table, zero_shot_agents
from launchers.analysis.exploration import METRICS, Agent, Setting

SETTING = Setting(EnvironmentConfig.paper(), seed=0)
AGENTS = (Agent("helms", "skills"), Agent("mpo", "skills"))
OBSERVATION = {
    key: np.random.default_rng(0).normal(size=size).astype(np.float32)
    for key, size in observations.GROUP_SIZES.items()
}


def _row(job):
    """A made-up episode; the fresh policy never succeeds nor holds anything."""
    rng = np.random.default_rng([job.episode, len(job.agent.name)])
    row = {metric: float(rng.uniform(0.1, 1.0)) for metric in METRICS}
    if job.agent.model == "mpo":
        row |= {"held": 0.0, "sparse": 0.0}
    keys = {"agent": job.agent.name, "episode": job.episode, "seed": 7, "steps": 400}
    return keys | row


class Runner:
    """Runs jobs out of order; stops after some, as an interruption would."""

    def __init__(self, most=100):
        self.jobs = []
        self._most = most

    def __call__(self, jobs):
        for job in sorted(jobs, key=lambda j: (j.agent.name, -j.episode)):
            if len(self.jobs) == self._most:
                raise KeyboardInterrupt
            self.jobs.append(job)
            yield _row(job)


def _collect(out, runner, episodes=5):
    return exploration.collect(out, SETTING, AGENTS, episodes, runner)


def test_an_interrupted_table_equals_one_in_one_go(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = _collect(tmp_path / "whole", Runner())
    path = tmp_path / "parts" / exploration.EPISODES_FILE
    with pytest.raises(KeyboardInterrupt):
        _collect(path.parent, Runner(most=4))
    text = path.read_text()
    path.write_text(text + text.splitlines()[-1][:30])  # killed as it wrote a line
    rest = Runner()
    parts = _collect(path.parent, rest)
    assert len(rest.jobs) == 6
    for model, metrics in whole.items():
        assert list(metrics) == list(METRICS)
        for metric, values in metrics.items():
            np.testing.assert_array_equal(values, parts[model][metric])
    assert len(path.read_text().splitlines()) == 11
    table = exploration_table.make(whole, seed=0)
    assert table == exploration_table.make(parts, seed=0)
    more = Runner()
    _collect(path.parent, more, episodes=6)
    assert [job.episode for job in more.jobs] == [5, 5]


def test_another_file_is_not_taken_for_episodes(tmp_path):
    (tmp_path / exploration.EPISODES_FILE).write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="does not hold the episodes"):
        _collect(tmp_path, Runner())


def test_episodes_of_another_setting_or_bundle_are_refused(tmp_path):
    exploration.check(tmp_path, SETTING, {"helms": "a"})
    exploration.record(tmp_path, SETTING, {"helms": "a"})
    exploration.record(tmp_path, SETTING, {"bc": "b"})  # one more agent is fine
    exploration.check(tmp_path, SETTING, {"helms": "a", "bc": "b", "npmp": "c"})
    other = Setting(EnvironmentConfig.paper(object_set=3), seed=0)
    with pytest.raises(ValueError, match="object_set 4, not 3; give another --out"):
        exploration.check(tmp_path, other, {"helms": "a"})
    with pytest.raises(ValueError, match="another bundle of helms"):
        exploration.check(tmp_path, SETTING, {"helms": "b"})


def test_the_table_names_what_has_no_ratio(tmp_path):
    table = exploration_table.make(_collect(tmp_path, Runner()), seed=0)
    found = json.loads(json.dumps(table.to_json(), allow_nan=False))
    assert found["episodes"] == 5
    assert found["ratios"]["helms"]["held"] is None
    value, low, high = found["means"]["helms"]["dense"]
    assert low < value < high
    assert found["ratios"]["mpo"]["dense"] == [1.0, 1.0, 1.0]
    text = table.to_markdown()
    assert "| HeLMS, fresh high level |" in text and "| – |" in text
    assert text.count("| MPO, fresh |") == 1  # none among the ratios
    lines = table.to_csv().splitlines()
    assert len(lines) == 1 + 2 * len(METRICS)
    assert lines[1].startswith(f"helms,dense,{value},")


class FakeStacking:
    """Two control steps; notes what its episode was asked for."""

    def __init__(self):
        self.asked = {}

    def set_task(self, name):
        self.asked["task"] = name

    def set_objects(self, object_set):
        self.asked["object_set"] = object_set

    def seed_episode(self, seed):
        self.asked["seed"] = seed

    def reset(self):
        self.task, self._steps = tasks.TASKS[self.asked["task"]], 0
        return dm_env.restart(self._observation())

    def step(self, action):
        del action
        self._steps += 1
        make = dm_env.truncation if self._steps == 2 else dm_env.transition
        return make(0.0, self._observation())

    def state(self):
        objects = dict.fromkeys(observations.COLORS, np.zeros(3))
        return rewards.State(np.zeros(3), objects, finger=0.0, grasp=1)

    def success(self):
        return False

    def _observation(self):
        names = (*observations.FRAME_SIZES, observations.PREVIOUS_ACTION)
        return {
            name: np.zeros(observations.shape(name), observations.dtype(name))
            for name in names
        }


@pytest.mark.parametrize("several", [False, True])
def test_agents_of_several_tasks_are_told_the_episode_s(several, monkeypatch):
    seen = []

    class Recorder:
        object_order = "color"

        def begin(self, seed):
            del seed

        def act(self, observation):
            seen.append(observation)
            return np.zeros(controller.ACTION_SIZE)

    combinations = (("stack_red_blue", 1), ("stack_blue_green", 5))
    setting = SETTING
    if several:
        setting = dataclasses.replace(SETTING, combinations=combinations)
    environment = FakeStacking()
    monkeypatch.setattr(exploration, "_environment", lambda _: environment)
    monkeypatch.setattr(exploration, "make_actor", lambda _: Recorder())
    poses = {key: np.zeros([3, 7]) for key in ("objects", "grasp", "held")}
    poses |= {key: np.zeros(7) for key in ("joints", "joint_velocities")}
    monkeypatch.setattr(exploration, "_covered", lambda _: poses)
    exploration.run(exploration.Job(setting, AGENTS[0], episode=3))
    task, object_set = combinations[1] if several else ("stack_red_blue", 4)
    assert environment.asked["task"] == task
    assert environment.asked["object_set"] == object_set
    assert len(seen) == 2
    for observation in seen:
        groups = {"proprio", "objects"}
        assert set(observation) == (groups | {"context"} if several else groups)
        if several:  # top blue of red, green, blue; bottom green; set 5 of 5
            hot = np.flatnonzero(observation["context"])
            np.testing.assert_array_equal(hot, [2, 4, 10])


def test_variance_is_over_time_and_the_mean_over_values():
    values = np.array([[0.0, 1.0], [2.0, 1.0]])
    assert exploration.variance(values) == 0.5


def test_a_quaternion_that_changes_its_sign_does_not_jump():
    angles = np.linspace(0.8 * np.pi, 1.2 * np.pi, 9)  # w passes 0
    poses = np.zeros((9, 1, 7))
    poses[:, 0, 3] = np.cos(angles / 2)
    poses[:, 0, 4] = np.sin(angles / 2)
    jumping = poses.copy()
    jumping[4:, :, 3:] *= -1
    jumping[6, :, 3:] *= -1
    np.testing.assert_allclose(exploration.continuous_poses(jumping), poses)
    np.testing.assert_array_equal(exploration.continuous_poses(poses), poses)


class FakeBundle:
    """Frozen models of every kind in one; actions are easy to tell."""

    num_skills = 3
    latent_dim = 2
    action_dim = controller.ACTION_SIZE
    proprio_dim = observations.GROUP_SIZES["proprio"]
    object_dim = observations.GROUP_SIZES["objects"]

    def observation_statistics(self):
        return {
            key: (np.zeros(size), np.ones(size))
            for key, size in observations.GROUP_SIZES.items()
        }

    def decode(self, skill, observation, seed=None):
        del observation
        assert seed is not None
        return tf.tile(0.1 * tf.cast(skill, tf.float32)[:, None], [1, self.action_dim])

    def transition_matrix(self):
        return tf.constant([[0.9, 0.1, 0.0], [0.0, 0.9, 0.1], [0.1, 0.0, 0.9]])

    def sample_prior(self, previous_latent, seed):
        del seed
        return 0.5 * previous_latent

    def low_level(self, latent, observation):
        del observation
        return tf.tile(latent[:, :1], [1, self.action_dim])

    def sample(self, observation, seed):
        del seed
        return 3.0 * tf.ones_like(observation["proprio"][:, : self.action_dim])


def _actions(model, seed=0, steps=3, actor=None):
    actor = actor or zero_shot_agents.Actor(zero_shot_agents.make(model, FakeBundle()))
    actor.begin(seed)
    return np.stack([actor.act(OBSERVATION) for _ in range(steps)])


@pytest.mark.parametrize("model", zero_shot_agents.TITLES)
def test_an_episode_is_a_function_of_its_seed(model):
    actor = zero_shot_agents.Actor(zero_shot_agents.make(model, FakeBundle()))
    first = _actions(model, seed=5, actor=actor)
    assert first.shape == (3, controller.ACTION_SIZE)
    assert np.abs(first).max() <= 1.0
    other = _actions(model, seed=6, actor=actor)
    np.testing.assert_array_equal(_actions(model, seed=5, actor=actor), first)
    np.testing.assert_array_equal(_actions(model, seed=5), first)
    is_clone = model in ("bc", "hierarchical_bc")
    assert is_clone == np.array_equal(other, first)


def test_a_fresh_high_level_takes_every_skill_about_as_often():
    found = np.round(10 * _actions("helms", steps=300)[:, 0])
    shares = [np.mean(found == k) for k in range(3)]
    assert min(shares) > 0.2, shares


@pytest.mark.parametrize("skill_steps", [1, 3])
def test_a_skill_is_held_and_z_is_drawn_at_every_step(skill_steps):
    chosen, seeds = [], []

    def choose(observation, skill, seed):
        del observation, seed
        chosen.append(int(skill[0]))
        return skill + 1

    def act(observation, skill, seed):
        seeds.append(tuple(seed.numpy()))
        return tf.tile(0.01 * tf.cast(skill, tf.float32)[:, None], [1, 5])

    tf.config.run_functions_eagerly(True)  # or only the traces would be counted
    try:
        explorer = zero_shot_agents.ZeroShotAgent(
            lambda _: tf.zeros([1], tf.int32), choose, act
        )
        actor = zero_shot_agents.Actor(explorer, skill_steps)
        for _ in range(2):  # an episode starts with a new choice, wherever one ended
            found = _actions("", steps=8, actor=actor)[:, 0]
            expected = 1 + np.arange(8) // skill_steps
            np.testing.assert_array_equal(np.round(100 * found), expected)
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(chosen) == 2 * -(-8 // skill_steps)
    assert len(set(seeds)) == 8 and len(seeds) == 16  # the same in both episodes


def test_a_held_agent_is_another_row(tmp_path):
    held = (Agent("helms", "skills"), Agent("helms", "skills", 10))
    found = exploration.collect(tmp_path, SETTING, held, 1, Runner())
    assert list(found) == ["helms", "helms_held_10"]
    title = "HeLMS, fresh high level, skills held 10 steps"
    assert zero_shot_agents.title("helms_held_10") == title
    assert zero_shot_agents.title("distilled_greedy") == "likeliest skill, z's mean"


def test_a_single_skill_stays():
    assert zero_shot_agents.title("skill_2") == "HeLMS, skill 2 alone"
    found = _actions(zero_shot_agents.single(2), steps=30)
    np.testing.assert_allclose(found, 0.2, rtol=1e-6)


def test_the_fresh_high_level_is_the_one_that_rl_starts_with():
    skills = FakeBundle()
    actor = zero_shot_agents.Actor(zero_shot_agents.make("helms", skills))
    found = np.round(10 * _actions("helms", seed=3, steps=20, actor=actor)[:, 0])
    environment = environments.make()
    spec = specs.make_environment_spec(wrappers.GroupObservations(environment))
    builder = HelmsCatBuilder(HelmsCatConfig(), skills)
    high_level = builder.make_networks(spec, seed=3).policy
    logits = high_level({key: value[None] for key, value in OBSERVATION.items()})
    for step, skill in enumerate(found):
        seed = tf.random.experimental.stateless_split([3, step], 2)[0]
        drawn = tf.random.stateless_categorical(logits, 1, seed, tf.int32)
        assert drawn.numpy()[0, 0] == skill


def test_helms_follows_its_transition_prior():
    found = np.round(10 * _actions("helms_prior", steps=300)[:, 0]).astype(int)
    steps = np.diff(found) % 3
    assert set(steps) == {0, 1}  # it never goes back
    assert 0.05 < np.mean(steps) < 0.17
    starts = [_actions("helms_prior", seed=i, steps=1)[0, 0] for i in range(12)]
    assert len(set(np.round(10 * np.array(starts)))) == 3


def test_npmp_follows_its_prior():
    first, second, third = _actions("npmp")[:, 0]
    np.testing.assert_allclose([second, third], [first / 2, first / 4], rtol=1e-5)


def test_actions_are_clipped():
    np.testing.assert_array_equal(_actions("bc"), 1.0)


def test_a_fresh_mpo_policy_has_acmes_deviation_about_zero():
    found = _actions("mpo", steps=400)
    assert np.abs(found.mean()) < 0.05
    assert found.std() == pytest.approx(0.3, rel=0.1)


def test_a_fresh_mpo_policy_has_other_weights_in_every_episode():
    explorer = zero_shot_agents.make("mpo", FakeBundle())
    observation = {key: tf.constant(value[None]) for key, value in OBSERVATION.items()}

    def act(seed):
        latent = explorer.begin(seed)
        return explorer.act(observation, latent, tf.constant([0, 0])).numpy()

    first, other = act(1), act(2)
    assert (first != other).all()  # of equal noise
    np.testing.assert_array_equal(act(1), first)
