"""MPO over the latents of a frozen model: the base of HeLMS-mix and NPMP+KL."""
