"""Offline training of skills and of behaviour clones."""
