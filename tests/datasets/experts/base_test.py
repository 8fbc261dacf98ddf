"""The random expert and the forms of --expert."""

import pickle

import numpy as np
import pytest

from datasets.experts import base
from tests.helpers import collection_fakes


def test_random_expert_is_uniform_and_follows_its_seed():
    expert = base.RandomExpert(collection_fakes.FakeEnvironment())
    runs = []
    for seed in (1, 1, 2):
        expert.reset(seed)
        runs.append(np.stack([expert.step(None) for _ in range(2000)]))
        np.testing.assert_array_equal(expert.intended, runs[-1][-1])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    assert runs[0].dtype == np.float32 and runs[0].shape == (2000, 5)
    assert np.abs(runs[0]).max() <= 1.0
    np.testing.assert_allclose(runs[0].mean(axis=0), 0.0, atol=0.06)
    np.testing.assert_allclose(runs[0].std(axis=0), 3**-0.5, atol=0.03)


def test_a_draw_is_held_for_the_steps_that_were_asked_for():
    expert = base.factory("random:3")(collection_fakes.FakeEnvironment())
    every = base.factory("random")(collection_fakes.FakeEnvironment())
    for _ in range(2):  # an episode begins with a draw, wherever the last one ended
        for each in (expert, every):
            each.reset(5)
        actions = np.stack([expert.step(None) for _ in range(8)])
        draws = np.stack([every.step(None) for _ in range(3)])
        np.testing.assert_array_equal(actions, np.repeat(draws, 3, axis=0)[:8])


def test_factories_are_picklable():
    make = pickle.loads(pickle.dumps(base.factory("random", "stack_red_blue")))
    assert isinstance(make(collection_fakes.FakeEnvironment()), base.RandomExpert)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (
            "clever",
            "unknown expert 'clever'; valid: scripted, saved_model:PATH, random",
        ),
        ("saved_model:", "unknown expert"),
        ("random:0", "expert 'random:0'; valid: random:STEPS, the control steps from"),
        ("random:few", "valid: random:STEPS"),
        ("saved_model:/x", "/x holds no SavedModel"),
    ],
)
def test_unknown_forms(form, message):
    with pytest.raises(ValueError, match=message):
        base.factory(form, "stack_red_blue")


def test_a_caller_adds_a_form_of_its_own():
    more = {"mine:DIR": lambda path: lambda environment: f"{path} in {environment}"}
    assert base.factory("mine:a:b", more=more)("here") == "a:b in here"
    valid = ", ".join((*base.FORMS, "mine:DIR"))
    with pytest.raises(ValueError, match=f"valid: {valid}"):
        base.factory("mine:", more=more)


def test_the_scripted_expert_stacks_and_nothing_else():
    base.factory("random", "lift_red")
    base.factory("scripted", "pyramid")
    with pytest.raises(
        ValueError, match="only stacks; valid tasks: stack_.*, pyramid$"
    ):
        base.factory("scripted", "lift_red")
