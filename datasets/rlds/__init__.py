"""Data sets in RLDS: their features, files, statistics and the paper's two by name."""
