"""NPMP+KL: MPO over the latents of NPMP, near their prior (arXiv:2112.05062, 4.3)."""
