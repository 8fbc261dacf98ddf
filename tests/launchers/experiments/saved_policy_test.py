"""Policies as SavedModels: as ours act, without this repository, and taken back."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import environments
from agents import registry
from agents.builder import Held
from agents.high_level import distillation
from datasets.experts import saved_model
from environments import observations
from launchers.experiments import record, saved_policy
from launchers.experiments.config import make_experiment
from tests.helpers import commands

PRETRAINED = commands.ROOT / "pretrained"
RUN = str(PRETRAINED / "helms_cat_red_on_blue")
SEED = 7

# Nothing but TensorFlow and NumPy: no dm_env, and nothing of this repository.
_CHILD = """
import collections, sys
import numpy as np, tensorflow as tf
agent = tf.saved_model.load(sys.argv[1])
inputs = dict(np.load(sys.argv[2]))
TimeStep = collections.namedtuple("TimeStep", "step_type reward discount observation")
state = agent.initial_state()._replace(seed=tf.constant([7], tf.int32))
actions = []
for t in range(len(inputs["wrist/angle"])):
    observation = {n: tf.constant(v[t : t + 1]) for n, v in inputs.items()}
    (action, extras), state = agent.step(TimeStep(None, None, None, observation), state)
    actions.append(np.stack([action[0], extras["normalized_action"][0]]))
loaded = [n for n in sys.modules if n.split(".")[0] in ("agents", "datasets")]
assert not loaded and "dm_env" not in sys.modules, loaded
np.save(sys.argv[3], np.stack(actions))
"""


@pytest.fixture(scope="module")
def timesteps():
    environment = environments.make(seed=0)
    found = [environment.reset()]
    rng = np.random.default_rng(0)
    for _ in range(14):
        found.append(environment.step(rng.uniform(-1, 1, 5).astype(np.float32)))
    return found


@pytest.fixture(scope="module")
def policy():
    config = record.load_config(RUN)
    experiment = make_experiment(config)
    builder = experiment.builder_factory()
    networks = builder.make_networks(experiment.environment_spec, experiment.seed)
    builder.restore_policy(networks, config.workdir)
    return builder.make_policy(networks)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Made by the command in a process of its own, which loads TensorFlow late."""
    out = tmp_path_factory.mktemp("exported") / "model"
    command = [sys.executable, "-m", "launchers.export", RUN, f"--out={out}"]
    command.append("--format=saved_model")
    # A parent that has loaded TensorFlow has set this for its children.
    env = {k: v for k, v in os.environ.items() if k != "TF2_BEHAVIOR"}
    done = subprocess.run(
        command, cwd=commands.ROOT, env=env, check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("helms_cat of ")
    return str(out)


def _acts(policy, timesteps):
    """Actions of the policy itself, with the seed of step t as actors give it."""
    actions, held = [], None
    for t, timestep in enumerate(timesteps):
        named = {n: v[None] for n, v in timestep.observation.items()}
        rows = {k: tf.constant(v) for k, v in observations.group(named).items()}
        seed = tf.constant([SEED, t], tf.int32)
        anew = tf.constant([t % policy.skill_steps == 0])
        decision = policy(rows, seed, None if held is None else Held(held, anew))
        held = decision.agent_action if decision.held is None else decision.held
        actions.append(decision.environment_action.numpy()[0])
    return np.clip(actions, -1.0, 1.0)


def test_a_process_without_the_repository_acts_as_we_do(
    exported, policy, timesteps, tmp_path
):
    assert policy.skill_steps > 1
    names = {n for group in observations.GROUPS.values() for n in group}
    inputs = {n: np.stack([t.observation[n] for t in timesteps]) for n in names}
    np.savez(tmp_path / "inputs.npz", **inputs)
    paths = [exported, str(tmp_path / "inputs.npz"), str(tmp_path / "actions.npy")]
    subprocess.run(
        [sys.executable, "-I", "-c", _CHILD, *paths], cwd=tmp_path, check=True
    )
    actions = np.load(paths[-1])
    expected = _acts(policy, timesteps)
    np.testing.assert_allclose(actions[:, 1], expected, rtol=0, atol=1e-6)
    physical = expected * saved_model.ACTION_SCALE
    np.testing.assert_allclose(actions[:, 0], physical, rtol=1e-5, atol=1e-7)


def test_the_expert_takes_it_back(exported, policy, timesteps):
    expert = saved_model.SavedModelExpert(exported)
    for _ in range(2):
        expert.reset(SEED)
        actions = [expert.step(timestep) for timestep in timesteps]
        np.testing.assert_allclose(actions, _acts(policy, timesteps), atol=1e-6)
    expert.reset(SEED + 1)
    assert not np.array_equal(expert.step(timesteps[0]), actions[0])
    observation = dict(timesteps[0].observation)
    del observation["wrist/angle"]
    with pytest.raises(ValueError, match="observes wrist/angle"):
        expert.step(timesteps[0]._replace(observation=observation))


def test_a_clone_s_bundle_acts(timesteps, tmp_path):
    directory = str(PRETRAINED / "bc_red_on_blue")
    saved_policy.export_bundle(directory, tmp_path / "model")
    expert = saved_model.SavedModelExpert(tmp_path / "model")
    expert.reset(SEED)
    named = {n: v[None] for n, v in timesteps[0].observation.items()}
    rows = {k: tf.constant(v) for k, v in observations.group(named).items()}
    frozen = registry.load_bundle(directory)
    expected = frozen.sample(rows, tf.constant([SEED, 0], tf.int32))[0]
    np.testing.assert_allclose(expert.step(timesteps[0]), expected, atol=1e-6)


def test_skills_act_by_their_distilled_high_level(timesteps, tmp_path):
    directory = str(PRETRAINED / "helms_red_on_blue")
    saved_policy.export_bundle(directory, tmp_path / "model")
    expert = saved_model.SavedModelExpert(tmp_path / "model")
    skills = registry.load_bundle(directory, model="helms")
    high_level = distillation.load(skills)
    expert.reset(SEED)
    for timestep in timesteps:
        named = {n: v[None] for n, v in timestep.observation.items()}
        rows = {k: tf.constant(v) for k, v in observations.group(named).items()}
        skill = tf.argmax(high_level(rows), axis=-1, output_type=tf.int32)
        expected = np.clip(skills.decode(skill, rows)[0], -1.0, 1.0)
        np.testing.assert_allclose(expert.step(timestep), expected, atol=1e-6)


def test_skills_without_a_high_level_are_refused(tmp_path):
    bare = tmp_path / "skills"
    shutil.copytree(PRETRAINED / "helms_red_on_blue", bare)
    shutil.rmtree(bare / "high_level")
    with pytest.raises(ValueError, match="no distilled high level; .*analyse_skills"):
        saved_policy.export_bundle(str(bare), tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "what to export?"),
        (["/x", "--format=saved_model"], "no run in /x"),
        (
            [str(PRETRAINED / "npmp_red_on_blue"), "--format=saved_model"],
            "has no policy: .*valid: bundles of clones, and of helms with",
        ),
        (["/x", "--format=lerobot", "--skills=/y"], "--skills is of a run"),
        ([RUN, "--format=zip"], "run|saved_model|lerobot|robomimic"),
    ],
)
def test_bad_input_gets_one_line_and_exit_2(arguments, message, tmp_path):
    run = commands.run("launchers.export", *arguments, f"--out={tmp_path / 'out'}")
    assert run.returncode == 2, run.stderr
    # TensorFlow may warn before it.
    (line,) = re.findall("^error: .*", run.stderr, re.M)
    assert re.search(message, line), line
    assert not list(tmp_path.iterdir())
