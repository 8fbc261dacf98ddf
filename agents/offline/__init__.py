"""Offline learning: what the models of skills and the behaviour clones share."""
