"""Untrained frozen models of the real sizes, for benchmarks that need no skill."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from agents import registry
from agents.offline.frozen import FrozenModel
from agents.offline.networks import Dims, unit_statistics
from agents.registry import MODELS
from environments import controller, observations


def environment_dims() -> Dims:
    """Returns the sizes of the environment's observation groups and action."""
    return Dims(action=controller.ACTION_SIZE, **observations.GROUP_SIZES)


def frozen(model: str | None, seed: int, **settings: Any) -> FrozenModel | None:
    """Makes an untrained model of Table 5 sizes; None for None."""
    if model is None:
        return None
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "skills")
        save(model, seed, path, **settings)
        return registry.load_bundle(path)


def save(model: str, seed: int, directory: str, **settings: Any) -> None:
    """Writes an untrained model as a bundle."""
    dims = environment_dims()
    kind = MODELS[model].offline
    networks = kind.networks_type(
        kind.config_type(seed=seed, **settings), dims, unit_statistics(dims)
    )
    registry.save_bundle(directory, networks, observations.GROUPS)
