"""HeLMS: skills learned offline as a hierarchical latent mixture."""
