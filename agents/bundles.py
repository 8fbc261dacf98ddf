"""Frozen models, whichever they are: saves any, loads any by what the bundle says."""

from __future__ import annotations

import os
from collections.abc import Mapping

from agents.bc.frozen import BcPolicy
from agents.helms.frozen import Skills
from agents.hierarchical_bc.frozen import HierarchicalBcPolicy
from agents.npmp.frozen import NpmpSkills
from agents.offline import bundle
from agents.offline.frozen import FrozenModel

FROZEN: Mapping[str, type[FrozenModel]] = {
    frozen.model: frozen
    for frozen in (Skills, NpmpSkills, BcPolicy, HierarchicalBcPolicy)
}

save = bundle.save


def load(
    directory: str | os.PathLike[str],
    proprio_dim: int | None = None,
    object_dim: int | None = None,
    action_dim: int | None = None,
    model: str | None = None,
) -> FrozenModel:
    """Reads a bundle.

    Args:
      directory: of the bundle.
      proprio_dim: P of the environment, object_dim: O, action_dim: D. Those given must
        be the bundle's.
      model: the model that the caller can use; None takes any.

    Returns:
      `Skills`, `NpmpSkills`, `BcPolicy` or `HierarchicalBcPolicy`; `.model` tells.

    Raises:
      ValueError: in one line, why this is not a bundle that can be used here.
    """
    name = model or bundle.read_description(directory).get("model")
    if name is None or name not in FROZEN:
        raise ValueError(
            f"unknown model {name!r} of the skills at {directory}; valid: "
            f"{', '.join(FROZEN)}"
        )
    return bundle.load(FROZEN[name], directory, proprio_dim, object_dim, action_dim)
