"""Agents: learners and policies that see only specs, batches and iterators."""
