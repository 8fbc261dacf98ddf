"""Settings of hierarchical BC (arXiv:2112.05062, section 4.3)."""

from __future__ import annotations

import dataclasses

from agents.offline.autoencoder import AutoencoderConfig


@dataclasses.dataclass(frozen=True)
class HierarchicalBcConfig(AutoencoderConfig):
    """What defines a hierarchical BC and its training; sizes are those of HeLMS.

    Its high level acts in the environment: it sees the present only (no look-ahead),
    and its prior is N(0, I).
    """
