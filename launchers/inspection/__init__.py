"""Views of a data set: figures, text and rendered episodes."""
