"""One episode as RLDS arrays, against a replay by hand."""

import json

import numpy as np
import pytest

from datasets.collection import rollout
from datasets.rlds import schema
from tests.helpers import collection_fakes

SETTINGS = schema.Settings(
    "stack_red_blue", "staged_sparse", 4, True, 2, "fake", episodes=9, seed=5
)


def _run(index=3, **kwargs):
    environment = collection_fakes.FakeEnvironment(**kwargs)
    expert = collection_fakes.FakeExpert(environment)
    return rollout.run_episode(environment, expert, SETTINGS, index)


def test_steps_hold_what_the_environment_gave():
    steps = _run()["steps"]
    environment = collection_fakes.FakeEnvironment()
    expert = collection_fakes.FakeExpert(environment)
    environment.seed_episode(SETTINGS.episode_seed(3))
    expert.reset(SETTINGS.expert_seed(3))
    timestep = environment.reset()
    t = 0
    while not timestep.last():
        for name, value in timestep.observation.items():
            np.testing.assert_array_equal(steps["observation"][name][t], value)
        action = expert.step(timestep)
        timestep = environment.step(action)
        np.testing.assert_array_equal(steps["action"][t], action)
        intended = np.tanh(steps["observation"]["sawyer/tcp/pose"][t, 0, 2])
        np.testing.assert_allclose(steps["expert_action"][t], intended, rtol=1e-6)
        assert steps["reward"][t] == timestep.reward
        assert steps["discount"][t] == timestep.discount
        assert steps["expert_phase"][t] == (t >= 3)
        t += 1
    for name, value in timestep.observation.items():
        np.testing.assert_array_equal(steps["observation"][name][t], value)
    assert len(steps["reward"]) == t + 1
    assert not steps["action"][t].any() and not steps["expert_action"][t].any()
    assert not np.array_equal(steps["action"], steps["expert_action"])
    assert steps["reward"][t] == steps["discount"][t] == 0
    assert steps["expert_phase"][t] == schema.UNKNOWN_PHASE
    assert steps["is_first"].tolist() == [True] + [False] * t
    assert steps["is_last"].tolist() == [False] * t + [True]
    assert steps["is_terminal"].tolist() == [False] * t + [timestep.discount == 0]


def test_metadata():
    example = _run()
    metadata = example["episode_metadata"]
    length = len(example["steps"]["reward"]) - 1
    assert metadata["episode_index"] == 3
    assert metadata["seed"] == SETTINGS.episode_seed(3)
    assert metadata["action_delay"] == length % 3
    assert json.loads(metadata["randomization"]) == {"friction": length / 10}
    assert json.loads(metadata["expert_phases"]) == ["early", "late"]
    assert not metadata["invalid"]
    assert schema.summary(example).steps == length


def test_a_number_that_is_not_finite_is_refused_by_name_and_step():
    with pytest.raises(
        ValueError, match="episode 3 .*wrist/force.*not finite at step 3"
    ):
        _run(fault="nan")


def test_seeds_depend_on_the_index_and_the_seed():
    seeds = {SETTINGS.episode_seed(i) for i in range(100)}
    seeds |= {SETTINGS.expert_seed(i) for i in range(100)}
    assert len(seeds) == 200 and all(0 <= seed < 2**63 for seed in seeds)


def test_a_random_object_set_is_stored_as_zero():
    assert _run()["episode_metadata"]["object_set"] == SETTINGS.object_set
    assert schema.object_set_number("random") == 0
