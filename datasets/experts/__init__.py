"""What acts while data are collected: `factory` makes an expert of an environment."""

from datasets.experts.base import FORMS, Expert, factory

__all__ = ["FORMS", "Expert", "factory"]
