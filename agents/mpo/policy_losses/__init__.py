"""Evaluation and improvement, one module per kind of action."""
