"""Tests of EnvironmentConfig: what it accepts, and its JSON form."""

import dataclasses
import json

import pytest

import environments
from environments import EnvironmentConfig, scene
from environments.randomization import RandomizationConfig


def test_it_comes_back_from_json():
    config = EnvironmentConfig.paper(
        task="pyramid",
        object_set=("s0", "s0", "r3"),
        observations="vision",
        cameras=("basket_back_left", "basket_front_left"),
        image_size=(32, 48),
        preset="reference",
    )
    told = json.loads(json.dumps(config.to_dict()))
    assert EnvironmentConfig.from_dict(told) == config
    with pytest.raises(ValueError, match="unknown setting of an environment 'tasks'"):
        EnvironmentConfig.from_dict({**told, "tasks": 1})


def test_what_has_no_name_is_not_written():
    for changes in (
        {"domain_randomization": RandomizationConfig()},
        {"preset": scene.PRESETS["fast"]},
    ):
        with pytest.raises(ValueError, match="is no name"):
            EnvironmentConfig(**changes).to_dict()


def test_the_papers_setting_is_randomised_and_delayed():
    config = EnvironmentConfig.paper(reward="dense")
    assert config.randomization == RandomizationConfig()
    assert (config.max_action_delay, config.reward) == (2, "dense")
    assert EnvironmentConfig().randomization is None
    own = RandomizationConfig()
    assert EnvironmentConfig(domain_randomization=own).randomization is own


def test_cameras_count_with_vision_alone():
    config = EnvironmentConfig.from_dict({"cameras": ["basket_back_left"]})
    assert config.cameras == ("basket_back_left",) and config.image_cameras == ()
    seeing = dataclasses.replace(config, observations="vision")
    assert seeing.image_cameras == ("basket_back_left",)


def test_the_environment_is_that_of_the_config():
    config = EnvironmentConfig(task="lift_green", object_set=2, grouped=True)
    environment = environments.build(config, seed=0)
    named = environments.make(task="lift_green", object_set=2, seed=0)
    assert set(environment.reset().observation) == {"proprio", "objects"}
    named.reset()
    assert environment.task is named.task
    assert environment.episode_info() == named.episode_info()
