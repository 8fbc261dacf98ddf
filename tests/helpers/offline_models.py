"""Small offline models for tests, and data that they learn in seconds."""

import itertools
from typing import Any

import numpy as np
import tensorflow as tf

from agents.bc.config import BcConfig
from agents.helms.config import HelmsConfig
from agents.hierarchical_bc.config import HierarchicalBcConfig
from agents.npmp.config import NpmpConfig
from agents.offline.learning import OfflineLearner
from agents.offline.networks import Dims, unit_statistics
from agents.registry import MODELS

DIMS = Dims(proprio=3, objects=2, action=2)
_TRAINING: dict[str, Any] = {
    "hidden_sizes": (32,),
    "window": 6,
    "batch_size": 32,
    "learning_rate": 3e-3,
}
CONFIGS: dict[str, Any] = {
    "helms": HelmsConfig(num_skills=2, latent_dim=2, look_ahead=1, **_TRAINING),
    "npmp": NpmpConfig(latent_dim=2, look_ahead=1, prior_coefficient=0.9, **_TRAINING),
    "bc": BcConfig(**_TRAINING),
    "hierarchical_bc": HierarchicalBcConfig(latent_dim=2, **_TRAINING),
}


def make_model(name_or_config):
    """A model with unit statistics, by its name (small) or by any config."""
    config = CONFIGS.get(name_or_config, name_or_config)
    (model,) = (
        m.offline for m in MODELS.values() if m.offline.config_type is type(config)
    )
    return model(model.networks_type(config, DIMS, unit_statistics(DIMS)))


def checkpoint_contents(workdir):
    """The bytes in a training's checkpoint, but for times and numbers of savings."""
    reader = tf.train.load_checkpoint(str(workdir / "checkpoints" / "skills"))
    return {
        name: np.asarray(reader.get_tensor(name)).tobytes()
        for name in reader.get_variable_to_shape_map()
        if not name.startswith(("counter", "save_counter", "_CHECKPOINTABLE"))
    }


def told_apart_by_objects(config):
    """Two windows of one proprioception and other actions: only a latent can tell."""
    batch = {key: value[-2:] for key, value in two_modes(5, config).items()}
    batch["proprio"][1] = batch["proprio"][0]
    batch["action"][:] = np.array([[[0.8, -0.4]], [[-0.6, 0.7]]])
    return batch


def trained_on_window(model):
    """Trains on `told_apart_by_objects` and returns the first of its two windows."""
    rows = told_apart_by_objects(model.config)
    few = {key: np.repeat(value, 32, axis=0) for key, value in rows.items()}
    learner = OfflineLearner(model, lambda _: itertools.repeat(few))
    for _ in range(300):  # close enough that a missing KL would break the bound
        learner.step()
    return {key: value[:1] for key, value in rows.items()}


def two_modes(seed, config):
    """Windows in which a hidden mode, seen only one step ahead, picks the action."""
    rng = np.random.default_rng(seed)
    size, frames = config.batch_size, config.window + config.look_ahead
    mode = np.cumsum(rng.random((size, frames)) < 0.2, axis=1) % 2  # sticky
    proprio = rng.normal(size=(size, frames, DIMS.proprio))
    proprio[:, 1:, 0] = 2.0 * mode[:, :-1] - 1.0  # the next frame shows the mode
    action = np.where(mode[:, : config.window, None] == 1, [0.8, -0.4], [-0.6, 0.7])
    mask = np.ones((size, config.window))
    mask[: size // 4, -2:] = 0
    batch = {
        "proprio": proprio,
        "objects": rng.normal(size=(size, frames, DIMS.objects)),
        "action": action + 0.05 * rng.normal(size=action.shape),
        "mask": mask,
    }
    return {k: v.astype(np.float32) for k, v in batch.items()}
