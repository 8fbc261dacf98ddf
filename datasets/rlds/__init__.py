"""Data sets in RLDS: features, files, statistics, and the paper's two by name."""
