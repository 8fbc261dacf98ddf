"""Configuration of hierarchical BC (arXiv:2112.05062, section 4.3)."""

from __future__ import annotations

import dataclasses

from agents.offline.autoencoder import AutoencoderConfig


@dataclasses.dataclass(frozen=True)
class HierarchicalBcConfig(AutoencoderConfig):
    """Configuration of hierarchical BC and its training, with the sizes of HeLMS.

    Its high level acts in the environment, so it sees only the present (no look-ahead);
    its prior is N(0, I).
    """
