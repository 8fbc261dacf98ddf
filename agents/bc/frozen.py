"""Frozen form of BC."""

from __future__ import annotations

from agents.bc.config import BcConfig
from agents.bc.networks import BcNetworks
from agents.offline.frozen import FrozenPolicy


class BcPolicy(FrozenPolicy):
    """Frozen policy p(a | x)."""

    model = "bc"
    config_type = BcConfig
    networks_type = BcNetworks
