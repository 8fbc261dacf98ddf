"""A critic against an episode by hand, the whole command small, and what it refuses."""

import json

import dm_env
import numpy as np
import pytest
import scipy.special
from acme import specs

from agents.helms_cat.builder import HelmsCatBuilder
from agents.helms_cat.config import HelmsCatConfig
from agents.registry import load_bundle
from benchmarks import critic_predictions
from tests.helpers import commands, untrained_skills

_TINY = (
    "--batch_size=8",
    "--min_replay_size=8",
    "--critic_rnn_size=0",
    "--samples_per_insert=4",
    "--skill_steps=5",
    "--eval_episodes=0",
    "--max_actor_steps=400",
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return untrained_skills.save_skills(tmp_path_factory.mktemp("bundle") / "skills")


def test_predictions_of_an_episode_by_a_loop(bundle):
    skills = load_bundle(bundle)
    sizes = {"proprio": skills.proprio_dim, "objects": skills.object_dim}
    spec = specs.EnvironmentSpec(
        {key: specs.Array((size,), np.float32) for key, size in sizes.items()},
        specs.BoundedArray((skills.action_dim,), np.float32, -1.0, 1.0),
        specs.Array((), np.float32),
        specs.BoundedArray((), np.float32, 0.0, 1.0),
    )
    builder = HelmsCatBuilder(
        HelmsCatConfig(n_step=3, discount=0.9, critic_rnn_size=0), skills
    )
    networks = builder.make_networks(spec, seed=0)
    rng = np.random.default_rng(0)
    length, discounts = 7, [1.0, 1.0, 0.8, 1.0, 1.0, 0.9, 1.0]
    rewards = rng.uniform(size=length)
    actions = rng.integers(3, size=length).astype(np.int32)
    states = [
        {key: rng.normal(size=size).astype(np.float32) for key, size in sizes.items()}
        for _ in range(length + 1)
    ]
    recorder = critic_predictions.Recorder()
    recorder.add_first(dm_env.restart(states[0]))
    for t in range(length):
        after = dm_env.transition(rewards[t], states[t + 1], discounts[t])
        recorder.add(actions[t], after, extras={})
    found = critic_predictions.predict(builder, networks, recorder, seed=0)

    values, state_values = [], []
    for state in states:
        one = {key: value[None, None] for key, value in state.items()}
        values.append(networks.critic(one).numpy()[0, 0])
        logits = networks.policy({k: v[None] for k, v in state.items()}).numpy()[0]
        state_values.append(scipy.special.softmax(logits) @ values[-1])
    taken = [values[t][actions[t]] for t in range(length)]

    def bootstrapped(first, last):
        total = state_values[last]
        for t in reversed(range(first, last)):
            total = rewards[t] + 0.9 * discounts[t] * total
        return total

    returns = [bootstrapped(t, length) for t in range(length)]
    targets = [bootstrapped(t, min(t + 3, length)) for t in range(length)]
    np.testing.assert_allclose(found.value, taken, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.returns, returns, rtol=1e-4, atol=1e-5)
    errors = np.subtract(targets, taken)
    np.testing.assert_allclose(found.error, errors, rtol=1e-4, atol=1e-5)


def test_quarters_and_the_whole():
    value = np.arange(8.0)
    known = critic_predictions.Prediction(value, 2.0 * value, np.full(8, -1.0))
    wrong = critic_predictions.Prediction(value, -2.0 * value, np.full(8, 3.0))
    alone = critic_predictions.summarize([known])
    both = critic_predictions.summarize([known, wrong])
    assert alone["correlation"] == pytest.approx(1.0) and alone["error"] == 1.0
    assert both["correlation"] == pytest.approx(0.0) and both["error"] == 2.0
    assert [part["value"] for part in both["quarters"]] == [0.5, 2.5, 4.5, 6.5]
    # Values that are all the same say nothing, and are no error.
    constant = critic_predictions.Prediction(np.ones(8), value, np.zeros(8))
    assert critic_predictions.summarize([constant])["correlation"] == 0.0


def test_the_command(bundle, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    flags = ("--agent=helms_mix", f"--skills={bundle}", workdir, *_TINY)
    done = commands.run("launchers.train_agent", *flags, eagerly=True)
    assert done.returncode == 0, done.stderr
    done = commands.run("benchmarks.critic", workdir, "--episodes=1")
    assert done.returncode == 0, done.stderr
    assert "quarter 4" in done.stdout
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["episodes"] == 1 and len(result["quarters"]) == 4
    assert result["error"] > 0.0 and result["replay_error"] > 0.0


@pytest.mark.parametrize(
    ("workdir", "episodes", "words"),
    [
        ("nowhere", 1, "no run in nowhere"),
        ("nowhere", 0, "valid: 1 or more"),
        ("pretrained/helms_cat_red_on_blue", 1, "exported agents have none"),
    ],
)
def test_bad_input_is_one_line(workdir, episodes, words):
    flags = f"--workdir={workdir}", f"--episodes={episodes}"
    done = commands.run("benchmarks.critic", *flags)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and words in last, last
