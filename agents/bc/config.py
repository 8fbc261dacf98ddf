"""Settings of BC: those of every offline model."""

from __future__ import annotations

import dataclasses

from agents.offline.config import OfflineConfig


@dataclasses.dataclass(frozen=True)
class BcConfig(OfflineConfig):
    """What defines a behaviour clone and its training."""
