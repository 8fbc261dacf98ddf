"""Evaluation and improvement, a module a kind of action."""
