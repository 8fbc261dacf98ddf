"""Distributions as tuples of tensors: densities, draws and divergences."""
