"""Loads frozen models and checks that they fit the environment's observations."""

from __future__ import annotations

import functools
from typing import Any

from agents import registry
from agents.offline import bundle
from datasets.rlds.columns import Columns
from environments import controller, observations


@functools.cache
def load(directory: str) -> Any:
    """Loads a bundle of any model, once per directory.

    Its sizes are checked where it was learned on this project's observations.

    Raises:
      ValueError: in one line, why the directory holds no bundle that fits.
    """
    if not Columns.of_bundle(bundle.read_description(directory)).is_own:
        return registry.load_bundle(directory)
    return registry.load_bundle(
        directory,
        proprio_dim=observations.GROUP_SIZES["proprio"],
        object_dim=observations.GROUP_SIZES["objects"],
        action_dim=controller.ACTION_SIZE,
    )


def object_order(frozen: Any) -> str:
    """Returns the order of the objects that a frozen model observes in the cell."""
    return Columns.of_bundle(frozen.description).object_order


def name(frozen: Any) -> str:
    """Returns the name of a bundle's model."""
    return str(frozen.description["model"])
