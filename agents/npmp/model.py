"""Offline form of NPMP."""

from __future__ import annotations

from agents.npmp.config import NpmpConfig
from agents.npmp.networks import NpmpNetworks
from agents.offline.autoencoder import AutoencoderModel


class NpmpModel(AutoencoderModel):
    """Lower bound of the likelihood, under an AR(1) prior of the latent or N(0, I)."""

    networks_type = NpmpNetworks
    config_type = NpmpConfig
