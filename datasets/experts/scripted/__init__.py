"""Scripted expert that stacks."""
