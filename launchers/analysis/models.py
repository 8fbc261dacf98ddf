"""Frozen models by their bundles, checked against what the environment gives."""

from __future__ import annotations

import functools
from typing import Any

from agents import registry
from environments import controller, observations


@functools.cache
def load(directory: str) -> Any:
    """Reads a bundle of any model; one object a directory.

    Raises:
      ValueError: in one line, why this is not a bundle that can be used here.
    """
    return registry.load_bundle(
        directory,
        proprio_dim=observations.GROUP_SIZES["proprio"],
        object_dim=observations.GROUP_SIZES["objects"],
        action_dim=controller.ACTION_SIZE,
    )


def name(bundle: Any) -> str:
    """The name of a bundle's model."""
    return str(bundle.description["model"])
