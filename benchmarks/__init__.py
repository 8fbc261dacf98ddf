"""Benchmarks: one question a module; the last line each prints is one JSON object."""
