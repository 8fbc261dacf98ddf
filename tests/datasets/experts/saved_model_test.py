"""The adapter for trained RGB-stacking agents, on a small agent of their signature."""

import collections

import dm_env
import numpy as np
import pytest
import tensorflow as tf

import environments
from benchmarks import fidelity
from datasets.experts import base, saved_model
from environments import observations

State = collections.namedtuple("MPOState", ["counter"])
Gaussian = collections.namedtuple("GaussianParams", ["loc", "scale_diag"])
Discrete = collections.namedtuple("DiscreteValuedParams", ["logits"])
Joint = collections.namedtuple("JointIndependentParams", ["dist_params_list"])
LOC = [0.5, -0.25, 2.0, 0.1]


def save(path, scale, tell_distribution):
    """An agent that acts about `LOC` and closes the fingers."""
    observation = {
        name: tf.TensorSpec(
            (1, *observations.shape(name)), observations.dtype(name), name=name
        )
        for name in saved_model.INPUTS
    }
    timestep = dm_env.TimeStep(None, None, None, observation)
    state = State(tf.TensorSpec((1,), tf.int64, name="counter"))

    class Agent(tf.Module):
        @tf.function(input_signature=[])
        def initial_state(self):
            return State(tf.constant(0, tf.int64))

        @tf.function
        def step(self, timestep, state):
            own = tf.constant([[0.07, 0.0, 0.0, -1.0, -255.0]])
            extras = {}
            if tell_distribution:
                gaussian = Gaussian(tf.constant([LOC]), tf.fill((1, 4), scale))
                fingers = Discrete(tf.constant([[[-20.0, 20.0]]]))
                extras = {"actor": {"dist_params": Joint([gaussian, fingers])}}
            return (own, extras), State(state.counter + 1)

    agent = Agent()
    agent.step.get_concrete_function(timestep, state)
    tf.saved_model.save(agent, str(path))
    return str(path)


@pytest.fixture(scope="module")
def timestep():
    return environments.make(seed=0).reset()


def test_it_draws_from_the_agents_distribution_by_a_seed(tmp_path, timestep):
    expert = saved_model.SavedModelExpert(save(tmp_path / "agent", 0.1, True))
    draws = []
    for seed in (1, 1, 2):
        expert.reset(seed)
        draws.append(np.array([expert.step(timestep) for _ in range(200)]))
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert draws[0].dtype == np.float32
    mean, deviation = draws[0].mean(axis=0), draws[0].std(axis=0)
    np.testing.assert_allclose(mean[[0, 1, 3]], [0.5, -0.25, 0.1], atol=0.03)
    np.testing.assert_allclose(deviation[[0, 1, 3]], 0.1, rtol=0.2)
    np.testing.assert_array_equal(draws[0][:, [2, 4]], 1.0)  # clipped; closed
    np.testing.assert_allclose(expert.intended, [0.5, -0.25, 1.0, 0.1, 1.0])
    assert expert.intended.dtype == np.float32


def test_an_agent_without_distribution_acts_itself(tmp_path, timestep):
    path = save(tmp_path / "agent", 0.1, False)
    expert = base.factory(f"saved_model:{path}", "stack_red_blue")(None)
    expert.reset(0)
    np.testing.assert_allclose(expert.step(timestep), [1.0, 0, 0, -1.0, -1.0])
    np.testing.assert_allclose(expert.intended, [1.0, 0, 0, -1.0, -1.0])


def test_what_is_no_agent_is_rejected(tmp_path):
    with pytest.raises(ValueError, match="no SavedModel"):
        saved_model.SavedModelExpert(tmp_path)
    tf.saved_model.save(tf.Module(), str(tmp_path / "module"))
    with pytest.raises(ValueError, match="has no initial_state"):
        saved_model.SavedModelExpert(tmp_path / "module")


@pytest.mark.slow
def test_the_benchmark_goes_on_after_what_it_has(tmp_path):
    """Two episodes in a worker, then the same again from the file."""
    setting = fidelity.Setting(
        save(tmp_path / "agent", 0.1, True), 4, "fast", "timestep=0.0025"
    )
    out = tmp_path / "episodes.jsonl"
    first = fidelity.evaluate(setting, range(2), 1, out)
    with out.open("a") as file:
        file.write('{"seed": 2, "succ')  # killed there
    again = fidelity.evaluate(setting, range(2), 1, out)
    assert [r["seed"] for r in again] == [0, 1]
    assert sorted(first, key=lambda r: r["seed"]) == again
    assert len(out.read_text().splitlines()) == 3
    result = fidelity.summary(again, setting)
    assert result["episodes"] == 2 and 0 <= result["mean_reward"] <= 1
    assert result["low"] <= result["success"] <= result["high"]
