"""NPMP: motor primitives with a Gaussian latent (Merel et al., arXiv:1811.11711)."""
