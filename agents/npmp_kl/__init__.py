"""NPMP+KL: MPO over NPMP's latents with a KL to their prior (arXiv:2112.05062, 4.3)."""
