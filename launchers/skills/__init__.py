"""Offline training of skills and behaviour clones."""
