"""Experts, which act during collection; `factory` selects one by its form."""

from datasets.experts.base import FORMS, MAKERS, Expert, factory

__all__ = ["FORMS", "MAKERS", "Expert", "factory"]
