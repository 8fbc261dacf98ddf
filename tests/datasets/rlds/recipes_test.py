"""The named data sets, and which episode is of which task and set."""

import collections
import dataclasses
import json

import pytest

from datasets.collection import rollout
from datasets.rlds import recipes, schema
from environments import EnvironmentConfig, objects
from tests.helpers import collection_fakes

SETTINGS = schema.Settings(
    EnvironmentConfig.paper(), "fake", episodes=60, dataset="all_pairs_stacking"
)


def test_the_recipes_are_the_papers():
    assert recipes.RECIPES["red_on_blue_stacking"] == (("stack_red_blue", 4),)
    pairs = recipes.RECIPES["all_pairs_stacking"]
    assert len(set(pairs)) == len(pairs) == 30
    assert {task for task, _ in pairs} == {
        f"stack_{a}_{b}"
        for a in ("red", "green", "blue")
        for b in ("red", "green", "blue")
        if a != b
    }
    assert {object_set for _, object_set in pairs} == {1, 2, 3, 4, 5}
    for task, object_set in pairs:
        EnvironmentConfig(task, "sparse", object_set)


def test_a_set_with_a_later_number_changes_no_context(monkeypatch):
    monkeypatch.setitem(objects.SETS, 6, ("r5", "g5", "b5"))
    context = recipes.context(("stack_red_blue", 6))
    assert context.shape == (recipes.CONTEXT_SIZE,) == (11,)
    assert not context[6:].any()


def test_combinations_take_turns_and_are_in_the_metadata():
    counts = collections.Counter(SETTINGS.combination(i) for i in range(60))
    assert set(counts.values()) == {2} and len(counts) == 30
    environment = collection_fakes.FakeEnvironment()
    for index in (0, 7, 31):
        metadata = rollout.run_episode(
            environment, collection_fakes.FakeExpert(environment), SETTINGS, index
        )["episode_metadata"]
        found = metadata["task"], metadata["object_set"]
        assert found == environment.combination
        assert found == recipes.RECIPES["all_pairs_stacking"][index % 30]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "best"}, "valid: red_on_blue_stacking, all_pairs_stacking"),
        ({"keep": "some"}, "valid: all, successes"),
        ({"episodes": 10**20}, "valid: 1 to 10,000,000"),
    ],
)
def test_settings_that_are_not_valid(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SETTINGS, **change)


@pytest.mark.parametrize("dataset", [None, "all_pairs_stacking"])
def test_settings_come_back_from_the_manifest(dataset):
    settings = dataclasses.replace(
        SETTINGS,
        dataset=dataset,
        environment=EnvironmentConfig.paper(task="stack_red_blue", object_set=2),
    )
    told = json.loads(json.dumps(settings.to_dict()))
    assert schema.Settings.from_dict(told) == settings
    assert (told["task"], told["object_set"]) == (
        ("stack_red_blue", 2) if dataset is None else (None, None)
    )
    older = {k: v for k, v in told.items() if k not in ("preset", "keep", "grouped")}
    assert schema.Settings.from_dict(older) == settings
    with pytest.raises(ValueError, match="object_sets"):
        schema.Settings.from_dict({**told, "object_sets": 4})
