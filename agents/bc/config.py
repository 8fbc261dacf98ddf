"""Configuration of BC, which adds nothing to that of every offline model."""

from __future__ import annotations

import dataclasses

from agents.offline.config import OfflineConfig


@dataclasses.dataclass(frozen=True)
class BcConfig(OfflineConfig):
    """Configuration of a behaviour clone and its training."""
