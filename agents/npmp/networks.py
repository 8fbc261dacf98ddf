"""Networks of NPMP (arXiv:1811.11711; A.2 of arXiv:2112.05062)."""

from __future__ import annotations

from agents.offline.autoencoder import AutoencoderNetworks


class NpmpNetworks(AutoencoderNetworks):
    """Encoder with look-ahead, and low level."""

    model = "npmp"
