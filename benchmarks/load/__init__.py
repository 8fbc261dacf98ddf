"""Parts of `benchmarks.scaling`: nodes, light actors, their resources, the model."""
