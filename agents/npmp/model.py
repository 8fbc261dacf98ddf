"""Offline form of NPMP."""

from __future__ import annotations

from agents.npmp.config import NpmpConfig
from agents.npmp.networks import NpmpNetworks
from agents.offline.autoencoder import AutoencoderModel


class NpmpModel(AutoencoderModel):
    """Bound with an AR(1) prior, or with N(0, I)."""

    networks_type = NpmpNetworks
    config_type = NpmpConfig
