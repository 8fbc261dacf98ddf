"""A scripted expert that stacks."""
