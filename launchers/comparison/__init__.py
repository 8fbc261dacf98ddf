"""Comparison of RL runs: groups of settings, their curves and their final results."""
