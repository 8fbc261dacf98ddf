"""Settings of hierarchical BC (arXiv:2112.05062, section 4.3)."""

from __future__ import annotations

import dataclasses

from agents.offline.config import LatentConfig


@dataclasses.dataclass(frozen=True)
class HierarchicalBcConfig(LatentConfig):
    """What defines a hierarchical BC and its training; sizes are those of HeLMS.

    Its high level acts in the environment: it sees the present only, and its prior is
    N(0, I). These are `LatentConfig`'s, and no settings.
    """
