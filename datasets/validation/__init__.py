"""Checks of a data set's episodes and of its metadata."""
