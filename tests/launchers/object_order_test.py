"""Objects by their role in the task: in data, the environment, skills and RL."""

import dm_env
import numpy as np
import pytest
import tensorflow as tf

import environments
from agents import registry
from agents.bc.config import BcConfig
from agents.helms_cat.networks import SkillPolicy
from agents.high_level import distillation
from agents.high_level.distillation import DistillationConfig
from datasets import loader
from datasets.rlds import files, reader
from datasets.rlds.columns import BY_ROLE, OWN, Columns
from environments import EnvironmentConfig, observations, wrappers
from environments.tasks import TASKS
from launchers.analysis import ceiling, exploration, held_out_episodes
from launchers.analysis.exploration import Agent, Job, Setting
from launchers.experiments import config as experiment_config
from launchers.experiments import demonstrations, saved_policy
from launchers.experiments.config import RunConfig
from launchers.inspection import episode_page
from launchers.skills import training
from tests.helpers import commands, dataset_files, untrained_skills

# Tasks, and the colours that they call top, bottom and other.
ROLES = {
    "stack_red_green": ("red", "green", "blue"),  # as by colour
    "stack_blue_red": ("blue", "red", "green"),
    "stack_green_blue": ("green", "blue", "red"),
    "pyramid": ("red", "green", "blue"),  # red is brought to green
    "lift_blue": ("blue", "red", "green"),
    "reach_green": ("green", "red", "blue"),
}
BY_ROLE_NAMES = {**observations.GROUPS, "objects": observations.OBJECTS_BY_ROLE}


def _renamed(named, colors):
    """Observations as if the objects had these colours; what is grouped is by role."""
    found = dict(named)
    for place, color in zip(observations.COLORS, colors, strict=True):
        for part in ("abs_pose", "to_pinch"):
            found[f"rgb30_{place}/{part}"] = named[f"rgb30_{color}/{part}"]
    return observations.group(found)


@pytest.fixture(name="skills", scope="module")
def _skills(tmp_path_factory):
    directory = tmp_path_factory.mktemp("by_role") / "skills"
    return untrained_skills.save_skills(directory, names=BY_ROLE_NAMES, window=4)


@pytest.fixture(name="all_pairs", scope="module")
def _all_pairs(tmp_path_factory):
    examples = dataset_files.all_pairs(30)
    directory = tmp_path_factory.mktemp("all_pairs") / "data"
    return str(dataset_files.write(directory, examples)), examples


@pytest.mark.parametrize("task", ROLES)
def test_the_environment_groups_the_objects_by_role(task):
    named = environments.make(seed=0, domain_randomization=True)
    settings = {"grouped": True, "object_order": "role"}
    grouped = environments.make(seed=0, domain_randomization=True, **settings)
    wrapped = wrappers.GroupObservations(named, "role")
    for environment in (named, grouped):
        environment.set_task(task)
        environment.seed_episode(3)
    pairs = [(named.reset(), grouped.reset())]
    action = np.full(5, 0.5, np.float32)
    pairs += [(named.step(action), grouped.step(action)) for _ in range(3)]
    for one, other in pairs:
        expected = _renamed(one.observation, ROLES[task])
        of_wrapper = wrapped.grouped(one.observation)
        for key, value in expected.items():
            np.testing.assert_array_equal(other.observation[key], value)
            np.testing.assert_array_equal(of_wrapper[key], value)


def test_a_data_set_by_role_has_each_episode_in_its_own_order(all_pairs):
    directory, examples = all_pairs
    data = loader.load(directory, BY_ROLE)
    found = np.split(data.objects.numpy(), np.cumsum(data.lengths)[:-1])
    for example, objects in zip(examples, found, strict=True):
        colors = TASKS[example["episode_metadata"]["task"]].pair or ()
        (other,) = set(observations.COLORS) - set(colors)
        expected = _renamed(example["steps"]["observation"], (*colors, other))
        np.testing.assert_array_equal(objects, expected["objects"])
    assert data.columns.groups == BY_ROLE_NAMES
    source = loader.Source(BY_ROLE)
    assert source.manifest(directory) == {
        **loader.manifest(directory),
        "object_order": "role",
    }
    batch = next(iter(source.windows(directory, "held_out", window=4)))
    held_out = held_out_episodes.held_out(directory, 3, BY_ROLE).episodes
    np.testing.assert_array_equal(batch["objects"][0, :4], held_out[0].objects[:4])
    np.testing.assert_array_equal(held_out[0].objects, found[27])


def test_an_episode_of_an_unknown_task_has_no_roles(tmp_path):
    examples = dataset_files.all_pairs(3)
    examples[1]["episode_metadata"]["task"] = "juggle"
    directory = dataset_files.write(tmp_path / "data", examples)
    assert loader.load(directory).num_episodes == 3
    with pytest.raises(ValueError, match=r"episode 1: .*task.*'juggle'; valid: stack_"):
        loader.load(directory, BY_ROLE)


def test_a_bundle_tells_its_order(all_pairs, tmp_path):
    learner = training.SkillTraining(
        "bc",
        BcConfig(hidden_sizes=(8,), window=5, batch_size=4),
        training.TrainingOptions(steps=1, show_progress=False),
        loader.Source(BY_ROLE),
        all_pairs[0],
        str(tmp_path / "bc"),
    )
    learner.run()
    description = registry.load_bundle(tmp_path / "bc" / "skills").description
    assert tuple(description["observation_names"]["objects"]) == BY_ROLE.objects
    assert Columns.of_bundle(description) == BY_ROLE
    assert Columns.of_bundle({"observation_names": observations.GROUPS}) == OWN


def test_an_agent_sees_the_order_of_its_bundle(tmp_path, skills):
    """Weights are the same, and so is what they do where both orders are the same."""
    by_color = untrained_skills.save_skills(tmp_path / "skills", window=4)
    returns = {}
    for task in ("stack_red_green", "stack_blue_red"):
        setting = Setting(EnvironmentConfig(task=task), seed=0)
        returns[task] = [
            exploration.run(Job(setting, Agent("skill_1", bundle), 0))["joints"]
            for bundle in (by_color, skills)
        ]
    assert len(set(returns["stack_red_green"])) == 1
    assert len(set(returns["stack_blue_red"])) == 2


def test_a_high_level_is_distilled_from_the_order_of_its_bundle(
    all_pairs, skills, monkeypatch
):
    seen = []
    windows = loader.windows

    def record(*args, **kwargs):
        seen.append(kwargs["columns"])
        return windows(*args, **kwargs)

    monkeypatch.setattr(loader, "windows", record)
    loaded = registry.load_bundle(skills)
    ceiling.distil(loaded, all_pairs[0], DistillationConfig(steps=1), False)
    assert seen == [BY_ROLE, BY_ROLE]


def test_rl_and_its_demonstrations_have_the_order_of_the_skills(tmp_path, skills):
    environment = EnvironmentConfig.paper(task="stack_blue_red", object_set=1)
    config = RunConfig(skills, str(tmp_path / "run"), environment=environment)
    assert config.environment.object_order == "role"
    assert RunConfig(None, "run", "mpo").environment.object_order == "color"
    made = experiment_config.make_environment(config, seed=0)
    named = environments.build(environment, seed=0)
    for each in (made, named):
        each.seed_episode(5)
    colors = ROLES["stack_blue_red"]
    expected = _renamed(named.reset().observation, colors)
    np.testing.assert_array_equal(
        made.reset().observation["objects"], expected["objects"]
    )

    examples = dataset_files.examples(2)
    for example in examples:
        example["episode_metadata"] |= {"task": "stack_blue_red", "object_set": 1}
    directory = dataset_files.write(tmp_path / "data", examples)
    manifest = files.read_manifest(directory) | {"settings": environment.to_dict()}
    files.write_json(directory / files.MANIFEST, manifest)
    episodes = demonstrations.load(str(directory), config.environment)
    for episode, example in zip(episodes, examples, strict=True):
        expected = _renamed(example["steps"]["observation"], colors)
        np.testing.assert_array_equal(
            episode.observation["objects"], expected["objects"]
        )


def test_an_exported_policy_orders_named_observations(tmp_path, skills):
    frozen = registry.load_bundle(skills)
    high_level = distillation.make_high_level(frozen, seed=0)
    policy = SkillPolicy(high_level, frozen, greedy=True, sample_latent=False)
    observation = environments.make(seed=0).reset().observation
    for name, value in observation.items():
        observation[name] = (value + np.arange(value.size).reshape(value.shape)).astype(
            value.dtype
        )
    colors = ROLES["stack_blue_red"]
    saved_policy.save(policy, {}, tmp_path / "model", colors)
    agent = tf.saved_model.load(str(tmp_path / "model"))
    named = {name: value[None] for name, value in observation.items()}
    inputs = {name: tf.constant(value) for name, value in named.items()}
    needed = {n: v for n, v in inputs.items() if n != observations.PREVIOUS_ACTION}
    timestep = dm_env.TimeStep(None, None, None, needed)
    (_, extras), _ = agent.step(timestep, agent.initial_state())
    rows = {k: tf.constant(v) for k, v in _renamed(named, colors).items()}
    action = policy(rows, tf.constant([0, 0], tf.int32)).environment_action
    np.testing.assert_allclose(extras["normalized_action"], action, atol=1e-6)
    with pytest.raises(ValueError, match="by their role in a task, and no task is"):
        saved_policy.export_bundle(skills, tmp_path / "other")


def test_a_page_of_an_episode_shows_what_the_skills_see(tmp_path, skills):
    """The posterior is that of the episode in the colours of its roles."""
    examples = dataset_files.examples(2)
    examples[0]["episode_metadata"]["task"] = "stack_blue_red"
    directory = dataset_files.write(tmp_path / "data", examples)
    episode = next(reader.Records(directory).episodes(print))
    frozen = registry.load_bundle(skills)
    found = episode_page.signals(episode, frozen).posterior
    assert found is not None
    groups = _renamed(examples[0]["steps"]["observation"], ROLES["stack_blue_red"])
    frames = np.minimum(np.arange(len(found) + frozen.look_ahead), len(found))
    window = (tf.constant(groups[k][frames][None]) for k in ("proprio", "objects"))
    np.testing.assert_allclose(found, frozen.posterior(*window)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--object_order=size"], "unknown object order 'size'; valid: color, role"),
        (
            ["--object_order=role", "--proprio=joints", "--objects=cube"],
            "--object_order=role is of data of the Sawyer cell",
        ),
    ],
)
def test_a_bad_order_gets_one_line_and_exit_2(flags, message, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    run = commands.run("launchers.train_skills", "--dataset=none", workdir, *flags)
    assert run.returncode == 2 and message in run.stderr.splitlines()[-1], run.stderr
