"""Checks of a data set's episodes and of what it says of itself."""
