"""Reproduction of the paper's figures: experiments as data, plans, runs and results."""
