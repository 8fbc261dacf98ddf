"""MPO over the latents of a frozen model: what HeLMS-mix and NPMP+KL share."""
