"""The parts of `benchmarks.scaling`: nodes, light actors, what they use, the model."""
