"""Losses: pure functions that return per-example tensors and their statistics."""
