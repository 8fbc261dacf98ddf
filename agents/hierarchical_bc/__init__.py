"""Hierarchical BC: a Gaussian high level that can act, over a low level."""
