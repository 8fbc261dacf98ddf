"""Offline learning: the common part of skill models and behaviour clones."""
