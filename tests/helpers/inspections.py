"""Inspection of a whole data set, as `launchers.inspect_dataset` does it."""

from datasets.rlds import reader
from datasets.validation import inspection


def inspect(directory):
    """Returns the finished inspection and the source that it has read."""
    source = reader.Records(directory)
    found = inspection.Inspection(source)
    for episode in source.episodes(found.report):
        found.add(episode)
    found.finish()
    return found, source
