"""Offline form of hierarchical BC."""

from __future__ import annotations

from agents.hierarchical_bc.config import HierarchicalBcConfig
from agents.hierarchical_bc.networks import HierarchicalBcNetworks
from agents.offline.autoencoder import AutoencoderModel


class HierarchicalBcModel(AutoencoderModel):
    """Likelihood of the action under a draw of z, less the KL to N(0, I)."""

    networks_type = HierarchicalBcNetworks
    config_type = HierarchicalBcConfig
