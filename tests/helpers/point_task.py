"""A small task for the RL agents over small frozen models, and batches of it."""

import dm_env
import numpy as np
import reverb
import tensorflow as tf
from acme import specs as acme_specs
from acme.adders.reverb import base
from dm_env import specs

from agents import registry
from agents.offline.frozen import FrozenModel
from agents.registry import AGENTS
from tests.helpers import fakes, offline_models

_SMALL = {**fakes.TINY_AGENT, "learning_rate": 3e-3}
GROUPS = {"proprio": ["a"], "objects": ["b"]}


class PointTask(dm_env.Environment):
    """An object shows where in [-1, 1]^2 the action should be; 8 steps an episode."""

    def __init__(self, seed=0):
        self._random = np.random.default_rng(seed)
        self._steps = 0

    def _observation(self):
        self._point = self._random.uniform(-0.8, 0.8, size=2).astype(np.float32)
        return {"proprio": np.ones(3, np.float32), "objects": self._point}

    def reset(self):
        self._steps = 0
        return dm_env.restart(self._observation())

    def step(self, action):
        assert action.shape == (2,) and (np.abs(action) <= 1).all()
        reward = np.float32(1.0 - np.linalg.norm(action - self._point))
        self._steps += 1
        if self._steps == 8:
            return dm_env.truncation(reward, self._observation(), np.float32(1.0))
        return dm_env.transition(reward, self._observation(), np.float32(1.0))

    def observation_spec(self):
        return {
            "proprio": specs.Array((3,), np.float32, name="proprio"),
            "objects": specs.Array((2,), np.float32, name="objects"),
        }

    def action_spec(self):
        return specs.BoundedArray((2,), np.float32, -1.0, 1.0, name="action")

    def reward_spec(self):
        return specs.Array((), np.float32, name="reward")

    def discount_spec(self):
        return specs.BoundedArray((), np.float32, 0.0, 1.0, name="discount")


SPEC = acme_specs.make_environment_spec(PointTask())


def bundles(root):
    """Returns model -> its frozen bundle, untrained, written below `root`."""
    found: dict[str | None, FrozenModel | None] = {None: None}
    for model in offline_models.CONFIGS:
        networks = offline_models.make_model(model).networks
        registry.save_bundle(root / model, networks, GROUPS)
        found[model] = registry.load_bundle(root / model)
    return found


def make_builder(name, frozen, **overrides):
    """Returns the builder of a small agent over one of the bundles."""
    agent = AGENTS[name]
    config = agent.config_type(**{**_SMALL, **overrides})
    return agent.builder(config, frozen[agent.model])


def sequence(builder, rng, batch=8, time=5):
    """A batch as replay gives it, with latents drawn at random."""
    spec = builder.agent_action_spec(SPEC)
    if np.issubdtype(spec.dtype, np.integer):
        latent = rng.integers(spec.num_values, size=(batch, time)).astype(np.int32)
    else:
        latent = rng.normal(size=(batch, time, *spec.shape)).astype(np.float32)
    data = _trajectory(latent, rng)
    return reverb.ReplaySample(info=(), data=tf.nest.map_structure(tf.constant, data))


def _trajectory(latent, rng):
    leading = latent.shape[:2]
    return base.Trajectory(
        observation={
            "proprio": rng.normal(size=(*leading, 3)).astype(np.float32),
            "objects": rng.normal(size=(*leading, 2)).astype(np.float32),
        },
        action=latent,
        reward=rng.normal(size=leading).astype(np.float32),
        discount=np.ones(leading, np.float32),
        start_of_episode=np.zeros(leading, bool),
        extras={"valid": np.ones(leading, np.float32)},
    )
